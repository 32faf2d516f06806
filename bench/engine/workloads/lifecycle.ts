/**
 * Single events that users wait for: the first read after a queue's head was deleted, opening a store at rest, and opening one whose
 * writer was killed. Each result is a handful of calls; their median is what is compared.
 */
import { cpSync } from 'node:fs';
import { once } from 'node:events';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Keys, Values } from '../data.ts';
import { settle, type Session } from '../session.ts';
import type { Store } from '../store.ts';
import type { Group } from '../group.ts';

const VALUE_BYTES = 100;
const QUEUE_ROUNDS = 9;
const DELETE_BATCH = 1000;
const OPEN_ROUNDS = 9;
const KILLED_ROUNDS = 3;

/** The group whose process writes and is killed; not among the workloads that a user chooses. */
export const KILLED_WRITER = 'killed-writer';

export const lifecycleGroups: readonly Group[] = [
  {
    name: 'queue-head',
    workloads: [{ name: 'queue-head', title: "first read after deleting a queue's head", role: 'lifecycle', compare: 'time' }],
    run: queueHead,
  },
  {
    name: 'open-warm',
    workloads: [{ name: 'open-warm', title: 'opening, at rest, warm', role: 'lifecycle', compare: 'time' }],
    run: openWarm,
  },
  {
    name: 'open-killed',
    workloads: [{ name: 'open-killed', title: 'opening after kill -9, log unflushed', role: 'lifecycle', compare: 'time' }],
    run: openKilled,
  },
];

/** Deletes the oldest tenth again and again; after each, the first entry is asked for once. */
async function queueHead(session: Session): Promise<void> {
  const keys = new Keys('sequential', session.records);
  const values = new Values(VALUE_BYTES);
  const directory = session.freshDirectory();
  const store = await session.loaded(directory, keys, values);
  const step = Math.floor(session.records / (QUEUE_ROUNDS + 1));
  const meter = session.meter();
  meter.start();
  for (let round = 0; round < QUEUE_ROUNDS; round++) {
    const end = (round + 1) * step;
    for (let start = round * step; start < end; start += DELETE_BATCH) {
      await store.deleteMany(keys.range(start, Math.min(end, start + DELETE_BATCH)));
    }
    let first = '';
    const before = performance.now();
    const seen = await settle(store.scan(false, 1, (key) => (first = Buffer.from(key).toString('latin1')), ignore));
    meter.sample(performance.now() - before);
    if (seen !== 1 || first !== keys.at(end).toString('latin1'))
      throw new Error(`${session.variant.name} returned a deleted or wrong head`);
  }
  meter.stop(QUEUE_ROUNDS);
  await store.close();
  session.report('queue-head', meter.result(), directory, session.records, VALUE_BYTES);
}

async function openWarm(session: Session): Promise<void> {
  const keys = new Keys('random', session.records);
  const values = new Values(VALUE_BYTES);
  const directory = session.freshDirectory();
  const store = await session.loaded(directory, keys, values);
  await store.close();
  await (await openAndRead(session, directory, keys)).close();
  const meter = session.meter();
  meter.start();
  for (let round = 0; round < OPEN_ROUNDS; round++) {
    const before = performance.now();
    const opened = await openAndRead(session, directory, keys);
    meter.sample(performance.now() - before);
    await opened.close();
  }
  meter.stop(OPEN_ROUNDS);
  session.report('open-warm', meter.result(), directory, session.records, VALUE_BYTES);
}

/** Each round opens a copy of what the killed process left, since opening repairs it. */
async function openKilled(session: Session): Promise<void> {
  const keys = new Keys('random', session.records);
  const values = new Values(VALUE_BYTES);
  const left = session.freshDirectory();
  const writer = fork(fileURLToPath(new URL('../child.ts', import.meta.url)), { stdio: 'inherit' });
  writer.send({ group: KILLED_WRITER, variant: session.variant, records: session.records, milliseconds: 0, directory: left, wanted: [] });
  const [, signal] = (await once(writer, 'exit')) as [number | null, string | null];
  if (signal !== 'SIGKILL') throw new Error('the writer that was to be killed ended before');
  const copies = Array.from({ length: KILLED_ROUNDS }, () => session.freshDirectory());
  for (const copy of copies) cpSync(left, copy, { recursive: true });
  const meter = session.meter();
  meter.start();
  for (const copy of copies) {
    const before = performance.now();
    const store = await openAndRead(session, copy, keys);
    meter.sample(performance.now() - before);
    await session.verify(store, keys, values, session.records);
    await store.close();
  }
  meter.stop(KILLED_ROUNDS);
  session.report('open-killed', meter.result(), copies[0]!, session.records, VALUE_BYTES);
}

/** Writes the records and dies by SIGKILL, everything acknowledged and nothing flushed. */
export async function writeAndDie(session: Session): Promise<void> {
  const keys = new Keys('random', session.records);
  const store = await session.open(session.directory, VALUE_BYTES);
  await session.load(store, keys, new Values(VALUE_BYTES));
  process.kill(process.pid, 'SIGKILL');
}

async function openAndRead(session: Session, directory: string, keys: Keys): Promise<Store> {
  const store = await session.open(directory, VALUE_BYTES);
  const value = await store.get(keys.at(keys.count - 1));
  if (value?.length !== VALUE_BYTES) throw new Error(`${session.variant.name} lost the last record`);
  return store;
}

function ignore(): void {
  // Steps of a scan that returns one entry are of no interest.
}
