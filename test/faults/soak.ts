/**
 * Hours of mixed load beside a model: node test/faults/soak.ts [--minutes 60] [--seed 1] [--dir DIR]
 *
 * All verbs, in three keyspaces: puts (small, large, expiring), deletes, batches with conditions, increments, reads one by one and many, scans, snapshots
 * and iterators that are held for a while, checkpoints that are opened and compared, verify, closing and opening again. Memory, file
 * descriptors and disk are sampled all the while; at the end everything is compared with the model, and the samples must be flat.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type BatchOperation,
  ConditionFailedError,
  type Engine,
  type EngineSettingsInput,
  type KeyValues,
  type Keyspace,
  open,
  type Snapshot,
} from '../../engine/index.ts';
import { SimRandom } from '../sim/sim-random.ts';

const SETTINGS: EngineSettingsInput = {
  memtableBytes: 4 * 1024 * 1024,
  segmentBytes: 8 * 1024 * 1024,
  tableBytes: 2 * 1024 * 1024,
  level1Bytes: 8 * 1024 * 1024,
  pageCacheBytes: 16 * 1024 * 1024,
  valueCacheBytes: 8 * 1024 * 1024,
  memoryBytes: 256 * 1024 * 1024,
  maxBatchBytes: 16 * 1024 * 1024,
  manifestBytes: 64 * 1024,
};
const KEYSPACES = ['', 'birds', 'nests'];
const KEYS = 15_000;
const COUNTERS = 50;
const SAMPLE_MS = 5000;
const UPKEEP_MS = 60_000;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' }, dir: { type: 'string' } },
});
const random = new SimRandom(Number(values.seed));
const parent = values.dir ?? mkdtempSync(join(tmpdir(), 'sparrowkv-soak-'));
const directory = join(parent, 'store');

/** A value is a function of its stamp. */
interface Content {
  readonly stamp: number;
  readonly bytes: number;
  readonly expiresAtMs: number;
}

/** Content by keyspace and key. */
const model = new Map<string, Map<string, Content>>(KEYSPACES.map((name) => [name, new Map()]));
const counters = new Map<string, bigint>();
let stamp = 0;
let engine: Engine;
const spaces = new Map<string, KeyValues>();
/** Without the default one, which operations do not name. */
const keyspaces = new Map<string, Keyspace>();
const samples: { rss: number; descriptors: number; disk: number; live: number }[] = [];
const done = { writes: 0, reads: 0, scans: 0, snapshots: 0, checkpoints: 0, openings: 0 };
let held: { snapshot: Snapshot; space: string; expected: Map<string, Content | undefined>; untilMs: number }[] = [];

await openStore();
const endMs = Date.now() + Number(values.minutes) * 60_000;
let [sampleMs, upkeepMs] = [0, Date.now() + UPKEEP_MS];
while (Date.now() < endMs) {
  await burst();
  for (let i = 0; i < 60; i++) await read();
  scan();
  hold();
  if (Date.now() > upkeepMs) {
    upkeepMs = Date.now() + UPKEEP_MS;
    await upkeep();
  }
  if (Date.now() > sampleMs) {
    sampleMs = Date.now() + SAMPLE_MS;
    sample();
  }
}
await engine!.settled();
await compareAll(engine!, 'at the end');
await engine!.close();
await openStore();
await compareAll(engine!, 'opened once more');
await engine!.close();
console.log(JSON.stringify(done));
const complaints = judge();
for (const complaint of complaints) console.error(complaint);
if (complaints.length === 0) console.log(`${values.minutes} minutes, seed ${values.seed}: all right and flat`);
if (values.dir === undefined) rmSync(parent, { recursive: true });
process.exit(complaints.length === 0 ? 0 : 1);

// ---- load ----

async function openStore(): Promise<void> {
  engine = await open(directory, SETTINGS);
  done.openings++;
  spaces.clear();
  spaces.set('', engine);
  for (const name of KEYSPACES.slice(1)) {
    const keyspace = await engine.keyspace(name);
    spaces.set(name, keyspace);
    keyspaces.set(name, keyspace);
  }
}

/** Writes that are under way together. The model has each when it is issued: calls take effect in order. */
async function burst(): Promise<void> {
  const writes: Promise<unknown>[] = [];
  for (let i = 0; i < 150; i++) writes.push(write());
  await Promise.all(writes);
  done.writes += writes.length;
}

function write(): Promise<unknown> {
  const name = random.pick(KEYSPACES);
  const space = spaces.get(name)!;
  const keys = model.get(name)!;
  const durability = random.chance(0.02) ? ('synced' as const) : ('os' as const);
  const choice = random.below(100);
  const key = keyOf(random.below(KEYS));
  if (choice < 60) {
    const content = draw(random.chance(0.1));
    keys.set(key, content);
    return space.put(key, valueOf(content), { durability, ...expiryOf(content) });
  }
  if (choice < 75) {
    keys.delete(key);
    return space.delete(key, { durability });
  }
  if (choice === 75 && random.chance(0.2)) {
    const range = { gte: key, lt: `${key}~` };
    const wider = { gte: key.slice(0, -2), lt: key };
    const chosen = random.chance(0.5) ? range : wider;
    deleteRange(name, chosen);
    return space.deleteRange(chosen, { durability });
  }
  if (choice < 85) {
    const counter = `${name}/counter/${random.below(COUNTERS)}`;
    const by = BigInt(random.below(1000)) - 300n;
    const expected = (counters.get(counter) ?? 0n) + by;
    counters.set(counter, expected);
    return space.increment(counter, by).then((found) => expectSame(`counter ${counter}`, found, expected));
  }
  return batch(name, durability);
}

/** Several keys of several keyspaces; sometimes under a condition that holds, or one that does not. */
function batch(name: string, durability: 'os' | 'synced'): Promise<unknown> {
  const operations: BatchOperation[] = [];
  const effects: (() => void)[] = [];
  for (let left = 2 + random.below(10); left > 0; left--) {
    const other = random.pick(KEYSPACES);
    const key = keyOf(random.below(KEYS));
    const within = withinOf(other);
    if (random.chance(0.02)) {
      const range = { gte: key, lt: keyOf(random.below(KEYS)) };
      if (range.gte >= range.lt) continue;
      operations.push({ type: 'deleteRange', ...range, ...within });
      effects.push(() => deleteRange(other, range));
    } else if (random.chance(0.2)) {
      operations.push({ type: 'delete', key, ...within });
      effects.push(() => model.get(other)!.delete(key));
    } else {
      const content = draw(random.chance(0.1));
      operations.push({ type: 'put', key, value: valueOf(content), ...within, ...expiryOf(content) });
      effects.push(() => model.get(other)!.set(key, content));
    }
  }
  const kind = random.below(4);
  const watched = keyOf(random.below(KEYS));
  const has = model.get(name)!.get(watched);
  const within = withinOf(name);
  // Near its expiry nobody can say what holds.
  if (kind > 1 || (has && has.expiresAtMs !== Infinity)) {
    for (const effect of effects) effect();
    return engine.write(operations, { durability });
  }
  const holds = has ? { key: watched, value: valueOf(has), ...within } : { key: watched, absent: true as const, ...within };
  if (kind === 0) {
    for (const effect of effects) effect();
    return engine.write(operations, { durability, conditions: [holds] });
  }
  const fails = has ? { key: watched, absent: true as const, ...within } : { key: watched, value: 'never', ...within };
  return engine.write(operations, { durability, conditions: [fails] }).then(
    () => Promise.reject(new Error('a batch is written against its condition')),
    (error: unknown) => {
      if (!(error instanceof ConditionFailedError)) throw error;
    },
  );
}

function deleteRange(name: string, { gte, lt }: { gte: string; lt: string }): void {
  const keys = model.get(name)!;
  for (const key of [...keys.keys()]) if (key >= gte && key < lt) keys.delete(key);
}

function withinOf(name: string): { keyspace?: Keyspace } {
  const keyspace = keyspaces.get(name);
  return keyspace ? { keyspace } : {};
}

function draw(expires: boolean): Content {
  const bytes = random.below(20) === 0 ? 1000 + random.below(30_000) : random.below(500);
  return { stamp: ++stamp, bytes, expiresAtMs: expires ? Date.now() + 1 + random.below(120_000) : Infinity };
}

function expiryOf({ expiresAtMs }: Content): { expiresAtMs?: number } {
  return expiresAtMs === Infinity ? {} : { expiresAtMs };
}

async function read(): Promise<void> {
  const name = random.pick(KEYSPACES);
  const keys = Array.from({ length: random.chance(0.2) ? 20 : 1 }, () => keyOf(random.below(KEYS)));
  const space = spaces.get(name)!;
  const before = Date.now();
  const found = keys.length === 1 ? [await space.get(keys[0]!)] : space.getManySync(keys);
  for (const [i, key] of keys.entries()) check(`${name}/${key}`, found[i], model.get(name)!.get(key), before);
  done.reads += keys.length;
}

function scan(): void {
  const name = random.pick(KEYSPACES);
  const from = random.below(KEYS);
  const reverse = random.chance(0.5);
  const [gte, lt] = [keyOf(from), keyOf(from + 100)];
  compareRange(spaces.get(name)!, name, { gte, lt, reverse }, (key) => key >= gte && key < lt);
  done.scans++;
}

/** Takes a snapshot now and then and looks at it again when it is given back. */
function hold(): void {
  if (held.length < 3 && random.chance(0.02)) {
    const space = random.pick(KEYSPACES);
    const expected = new Map<string, Content | undefined>();
    for (let i = 0; i < 100; i++) {
      const key = keyOf(random.below(KEYS));
      expected.set(key, model.get(space)!.get(key));
    }
    held.push({ snapshot: engine.snapshot(), space, expected, untilMs: Date.now() + random.below(20_000) });
    done.snapshots++;
  }
  for (const each of held) if (Date.now() > each.untilMs) release(each);
  held = held.filter(({ untilMs }) => Date.now() <= untilMs);
}

function release({ snapshot, space, expected }: (typeof held)[number]): void {
  for (const [key, content] of expected) {
    const before = Date.now();
    check(`${space}/${key} at a snapshot`, spaces.get(space)!.getSync(key, { snapshot }), content, before);
  }
  snapshot.release();
}

/** By turns: a checkpoint, verify, closing and opening. */
async function upkeep(): Promise<void> {
  const checkpoint = join(parent, 'checkpoint');
  await engine.checkpoint(checkpoint);
  const copy = await open(checkpoint, SETTINGS);
  await compareAll(copy, 'in a checkpoint');
  await copy.close();
  rmSync(checkpoint, { recursive: true });
  done.checkpoints++;
  const report = await engine.verify();
  if (!report.sound) throw new Error(`verify finds damage: ${JSON.stringify(report.problems.slice(0, 5))}`);
  for (const each of held) release(each);
  held = [];
  await engine.close();
  await openStore();
}

// ---- comparing ----

async function compareAll(store: Engine, where: string): Promise<void> {
  for (const name of KEYSPACES) {
    const space = name === '' ? store : await store.keyspace(name);
    compareRange(space, `${name} ${where}`, {}, () => true, name);
    for (const [counter, value] of counters) {
      if (!counter.startsWith(`${name}/counter/`)) continue;
      const found = space.getSync(counter);
      expectSame(`${counter} ${where}`, found && new DataView(found.buffer, found.byteOffset, 8).getBigInt64(0, true), value);
    }
  }
}

function compareRange(
  space: KeyValues,
  what: string,
  options: { gte?: string; lt?: string; reverse?: boolean },
  within: (key: string) => boolean,
  name: string = what,
): void {
  const before = Date.now();
  const found = new Map<string, Uint8Array>();
  let last: string | undefined;
  for (const [bytes, value] of space.scanSync(options)) {
    const key = Buffer.from(bytes).toString();
    if (last !== undefined && (options.reverse ? key >= last : key <= last)) throw new Error(`${what}: ${key} after ${last}`);
    last = key;
    if (!key.includes('/counter/')) found.set(key, value);
  }
  for (const [key, content] of model.get(name)!) {
    if (!within(key)) continue;
    check(`${what}: ${key}`, found.get(key), content, before);
    found.delete(key);
  }
  const [more] = found.keys();
  if (more !== undefined) throw new Error(`${what}: ${more} should not be there`);
}

/** `beforeMs`: a time before the read. What expires meanwhile may be there or not. */
function check(what: string, found: Uint8Array | undefined, content: Content | undefined, beforeMs: number): void {
  const mustBe = content !== undefined && content.expiresAtMs > Date.now();
  const mayBe = content !== undefined && content.expiresAtMs > beforeMs;
  if (found === undefined) {
    if (mustBe) throw new Error(`${what} is gone; it is of write ${content.stamp}`);
    return;
  }
  if (!mayBe) throw new Error(`${what} has ${found.length} bytes, and should not be there`);
  if (Buffer.compare(found, valueOf(content)) !== 0) throw new Error(`${what} is not what write ${content.stamp} made it`);
}

function keyOf(number: number): string {
  return `key/${String(number).padStart(6, '0')}`;
}

function valueOf({ stamp: of, bytes }: Content): Uint8Array {
  return Buffer.alloc(bytes, `${of};`);
}

function expectSame(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${what} is ${String(found)}, not ${String(expected)}`);
}

// ---- figures ----

function sample(): void {
  const disk = readdirSync(directory).reduce(
    (sum, name) => sum + (statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
  let live = 0;
  const now = Date.now();
  for (const keys of model.values()) {
    for (const [key, content] of keys) {
      // What is over needs no place in the model either.
      if (content.expiresAtMs < now - 1000 && !isHeld(key)) keys.delete(key);
      else live += key.length + content.bytes;
    }
  }
  samples.push({ rss: process.memoryUsage().rss, descriptors: readdirSync('/proc/self/fd').length, disk, live });
  if (samples.length % 12 === 1) {
    const { rss, descriptors } = samples.at(-1)!;
    console.log(
      `${mib(rss)} MiB resident, ${descriptors} descriptors, ${mib(disk)} MiB on disk for ${mib(live)} MiB; ${JSON.stringify(done)}`,
    );
  }
}

function isHeld(key: string): boolean {
  return held.some(({ expected }) => expected.has(key));
}

/** The last third of the samples against the third before it. */
function judge(): string[] {
  const third = Math.floor(samples.length / 3);
  if (third < 3) return ['too short to judge'];
  const most = (field: 'rss' | 'descriptors' | 'disk', from: number): number =>
    Math.max(...samples.slice(from, from + third).map((each) => each[field]));
  const complaints: string[] = [];
  const expectFlat = (field: 'rss' | 'descriptors' | 'disk', room: number): void => {
    const [middle, last] = [most(field, third), most(field, 2 * third)];
    if (last > middle * 1.1 + room) complaints.push(`${field} grows: at most ${middle}, then ${last}`);
  };
  expectFlat('rss', 32 * 1024 * 1024);
  expectFlat('descriptors', 5);
  expectFlat('disk', 32 * 1024 * 1024);
  const { disk, live } = samples.at(-1)!;
  if (disk > 4 * live + 64 * 1024 * 1024) complaints.push(`${mib(disk)} MiB on disk for ${mib(live)} MiB`);
  return complaints;
}

function mib(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}
