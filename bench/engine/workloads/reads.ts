/**
 * Reads of a filled store whose data is in table files (or the like) and warm: loaded with random keys, closed, opened, read through once.
 * Seeks count as one operation whatever they return; scans count entries; multi-gets count keys.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { Choice, Keys, Values } from '../data.ts';
import { repeat, type Measured, type Meter, type Operation } from '../meter.ts';
import { settle, type Session } from '../session.ts';
import type { Bytes, Store } from '../store.ts';
import type { Group } from '../group.ts';

const VALUE_BYTES = 100;
const MULTI_GET_KEYS = 100;
/** A run of scans goes on until it has seen each record this many times, or its time is over. */
const SCAN_ROUNDS = 3;
const READS_BETWEEN_YIELDS = 64;
/** The writer beside the readers aims at 10,000 puts a second. */
const PUT_PERIOD_MS = 0.1;

export const readGroup: Group = {
  name: 'reads',
  workloads: [
    { name: 'get', title: 'point read, random', role: 'point', compare: 'rate' },
    { name: 'get-missing', title: 'point read, missing key', role: 'point', compare: 'rate' },
    { name: 'multi-get', title: 'multi-get 100', role: 'read', compare: 'rate' },
    { name: 'scan-forward', title: 'scan forward', role: 'scan', compare: 'rate' },
    { name: 'scan-backward', title: 'scan backward', role: 'scan', compare: 'rate' },
    { name: 'seek-10', title: 'seek + next 10', role: 'scan', compare: 'rate' },
    { name: 'seek-100', title: 'seek + next 100', role: 'scan', compare: 'rate' },
    { name: 'read-while-writing', title: 'point read while one writes', role: 'read', compare: 'rate' },
  ],
  async run(session, wanted) {
    const { records, limits } = session;
    const keys = new Keys('random', records);
    const missing = new Keys('random', records, records);
    const values = new Values(VALUE_BYTES);
    const directory = session.freshDirectory();
    const store = await session.loaded(directory, keys, values);
    const choice = new Choice(1);

    const get: Operation = () => store.get(keys.at(choice.below(records)));
    const getMissing: Operation = () => store.get(missing.at(choice.below(records)));
    const multiGet: Operation = () => store.multiGet(Array.from({ length: MULTI_GET_KEYS }, () => keys.at(choice.below(records))));
    const seek =
      (count: number): Operation =>
      () =>
        store.seekNext(keys.at(choice.below(records)), count, touch);

    await scanAll(store, false, session, session.meter());
    await repeat(session.meter(), { operations: records, milliseconds: limits.milliseconds }, get);

    const run: Record<string, (meter: Meter) => Promise<unknown>> = {
      get: (meter) => repeat(meter, limits, get),
      'get-missing': (meter) => repeat(meter, limits, getMissing),
      'multi-get': (meter) => repeat(meter, limits, multiGet, MULTI_GET_KEYS),
      'scan-forward': (meter) => scanAll(store, false, session, meter),
      'scan-backward': (meter) => scanAll(store, true, session, meter),
      'seek-10': (meter) => repeat(meter, limits, seek(10)),
      'seek-100': (meter) => repeat(meter, limits, seek(100)),
      'read-while-writing': (meter) => readWhileWriting(store, keys, values, session, meter),
    };
    if (wanted.has('get-missing') && (await store.get(missing.at(0))) !== undefined)
      throw new Error(`${session.variant.name} found a missing key`);
    const measured = new Map<string, Measured>();
    for (const { name } of readGroup.workloads) {
      if (!wanted.has(name)) continue;
      const meter = session.meter();
      await run[name]!(meter);
      measured.set(name, meter.result());
    }
    await store.close();
    for (const [name, result] of measured) session.report(name, result, directory, records, VALUE_BYTES);
  },
};

let sink = 0;
/** Touches what was returned, so that lazily made bytes are made. */
function touch(key: Bytes, value: Bytes): void {
  sink = (sink + key[0]! + value[0]!) | 0;
}

async function scanAll(store: Store, reverse: boolean, session: Session, meter: Meter): Promise<void> {
  let entries = 0;
  meter.start();
  let last = performance.now();
  const every = (): void => {
    const now = performance.now();
    meter.sample(now - last);
    last = now;
  };
  do {
    const seen = await settle(store.scan(reverse, Infinity, touch, every));
    if (seen !== session.records) throw new Error(`${session.variant.name} returned ${seen} entries of ${session.records}`);
    entries += seen;
  } while (entries < session.records * SCAN_ROUNDS && meter.elapsedMs < session.limits.milliseconds);
  meter.stop(entries);
}

/** Reads as fast as it can; every 64 reads the event loop gets its turn, and a put is due each 100 us unless one is still in flight. */
async function readWhileWriting(store: Store, keys: Keys, values: Values, session: Session, meter: Meter): Promise<void> {
  const { records, limits } = session;
  const choice = new Choice(2);
  let writing: Promise<unknown> | undefined;
  let due = 0;
  let reads = 0;
  meter.start();
  while (reads < limits.operations && meter.elapsedMs < limits.milliseconds) {
    const now = performance.now();
    if (!writing && now >= due) {
      due = now + PUT_PERIOD_MS;
      const i = choice.below(records);
      const pending = store.put(keys.at(i), values.of(i));
      if (pending instanceof Promise) {
        // A failed put is not caught: it ends the process, and the run reports it.
        writing = pending.finally(() => (writing = undefined));
      }
    }
    for (let n = 0; n < READS_BETWEEN_YIELDS; n++) {
      const before = performance.now();
      const value = store.get(keys.at(choice.below(records)));
      if (value instanceof Promise) await value;
      meter.sample(performance.now() - before);
    }
    reads += READS_BETWEEN_YIELDS;
    await yieldToLoop();
  }
  meter.stop(reads);
  await writing;
}
