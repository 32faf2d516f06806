/**
 * kill -9 of the real server while clients write, over and over, and after each kill a look at everything.
 *
 *   node test/e2e/kill-loop.ts [--rounds 1000] [--seed N] [--dir DIR]
 *
 * Writers have keys of their own and send one write at a time, without retries: when the server dies, the fate of at most one write of each is
 * not known. A write is one of
 *   - a batch over all keys of the writer's group, every value carrying the same number: all or nothing;
 *   - a put of one key, small, or large enough to be stored apart from the index;
 *   - a delete of one key.
 * After each restart every key must hold what was acknowledged last; or, where a write was under way, all keys of it hold that write.
 *
 * Counters go on through all kills with a client that retries: each adds 1 by a compare-and-set on the version that its last write returned. A
 * write that was lost, or applied twice, would break the chain.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { SparrowError } from '../../base/errors.ts';
import { connect, type Client } from '../../client/index.ts';
import { ServerProcess } from './server-process.ts';

export interface KillLoopOptions {
  rounds: number;
  seed: number;
  directory: string;
  onRound?(report: string): void;
}

export interface KillLoopResult {
  rounds: number;
  acknowledged: number;
  /** Writes whose answer the kill cut off, and how many of them turned out to be applied. */
  undecided: number;
  undecidedApplied: number;
  /** Compare-and-sets that went through, kills and all. */
  counted: number;
}

const WRITERS = 12;
const COUNTERS = 3;
/** In each round, of all counters: a slow machine is given the time that this takes. */
const COUNTED_MIN = 6;
const GROUP_KEYS = 5;
const SINGLE_KEYS = 8;

/** Throws at the first thing that is not as it must be. */
export async function killLoop({ rounds, seed, directory, onRound }: KillLoopOptions): Promise<KillLoopResult> {
  const random = new Xorshift(seed);
  const writers = Array.from({ length: WRITERS }, (_, id) => new Writer(id, new Xorshift(random.next())));
  const result: KillLoopResult = { rounds: 0, acknowledged: 0, undecided: 0, undecidedApplied: 0, counted: 0 };
  let server = await ServerProcess.start(directory);
  const { port } = server;
  const patient = connect(server.address, { timeoutMs: 60_000 });
  const counters = Array.from({ length: COUNTERS }, (_, id) => new Counter(id, patient));
  for (; result.rounds < rounds; result.rounds++) {
    const client = connect(server.address, { waitForServerMs: 0 });
    const writing = writers.map((writer) => writer.writeUntilGone(client));
    await sleep(20 + (random.next() % 400));
    while (countedBy(counters) < COUNTED_MIN * (result.rounds + 1) && !counters.some(({ hasFailed }) => hasFailed)) await sleep(2);
    await server.end('SIGKILL');
    await Promise.all(writing);
    await client.close();

    server = await ServerProcess.start(directory, port);
    const reader = connect(server.address);
    for (const writer of writers) {
      result.undecided += writer.undecided;
      result.undecidedApplied += await writer.check(reader);
    }
    await reader.close();
    result.acknowledged = writers.reduce((sum, writer) => sum + writer.acknowledged, 0);
    result.counted = countedBy(counters);
    onRound?.(`round ${result.rounds + 1}: ${result.acknowledged} acknowledged, ${result.undecided} undecided, ${result.counted} counted`);
  }
  for (const counter of counters) await counter.stopAndCheck();
  await patient.close();
  await server.end();
  return result;
}

/** What a key holds: the number of the write and its length; `undefined`: nothing. */
type Content = { number: number; bytes: number } | undefined;

class Writer {
  readonly #id: number;
  readonly #random: Xorshift;
  readonly #model: Map<string, Content> = new Map();
  readonly #group: readonly string[];
  /** The write whose answer never came. */
  #open: Map<string, Content> | undefined;
  #number = 0;
  acknowledged = 0;

  constructor(id: number, random: Xorshift) {
    this.#id = id;
    this.#random = random;
    this.#group = Array.from({ length: GROUP_KEYS }, (_, i) => `group/${i}/${id}`);
  }

  get undecided(): number {
    return this.#open === undefined ? 0 : 1;
  }

  async writeUntilGone(client: Client): Promise<void> {
    while (await this.#writeOne(client));
  }

  /** False when the server is gone. */
  async #writeOne(client: Client): Promise<boolean> {
    const number = ++this.#number;
    const choice = this.#random.next() % 10;
    const bytes = this.#random.next() % 8 === 0 ? 20_000 + (this.#random.next() % 100_000) : this.#random.next() % 2_000;
    const single = `single/${this.#id}/${this.#random.next() % SINGLE_KEYS}`;
    const write: Map<string, Content> = new Map();
    if (choice < 5) for (const key of this.#group) write.set(key, { number, bytes });
    else if (choice < 9) write.set(single, { number, bytes });
    else write.set(single, undefined);
    this.#open = write;
    try {
      const batch = client.batch();
      for (const [key, content] of write) {
        if (content === undefined) batch.delete(key);
        else batch.put(key, valueOf(key, content));
      }
      await client.write(batch);
    } catch (error) {
      if (!(error instanceof SparrowError) || error.kind !== 'unavailable') throw error;
      return false;
    }
    this.#settle(write);
    this.acknowledged++;
    return true;
  }

  /** Compares all keys with the model; returns how many undecided writes were applied. */
  async check(client: Client): Promise<number> {
    const open = this.#open;
    this.#open = undefined;
    let applied = 0;
    if (open !== undefined) {
      const [first] = open.keys();
      // One key of the write decides; the rest must agree.
      if (matches(first, await client.get(first), open.get(first)) && !same(open.get(first), this.#model.get(first))) {
        this.#settle(open);
        applied = 1;
      }
    }
    const keys = [...new Set([...this.#model.keys(), ...(open?.keys() ?? [])])];
    const values = await client.multiGet(keys);
    for (const [i, key] of keys.entries()) {
      const expected = this.#model.get(key);
      if (!matches(key, values[i], expected)) throw new Error(`${key} should hold ${shown(expected)}, and holds ${found(values[i])}`);
    }
    return applied;
  }

  #settle(write: Map<string, Content>): void {
    for (const [key, content] of write) this.#model.set(key, content);
    this.#open = undefined;
  }
}

function countedBy(counters: readonly Counter[]): number {
  return counters.reduce((sum, { count }) => sum + count, 0);
}

class Counter {
  readonly #key: string;
  readonly #client: Client;
  readonly #running: Promise<void>;
  #stop = false;
  count = 0;
  hasFailed = false;

  constructor(id: number, client: Client) {
    this.#key = `counter/${id}`;
    this.#client = client;
    this.#running = this.#run();
    // What it throws is told by stopAndCheck.
    this.#running.catch(() => (this.hasFailed = true));
  }

  async stopAndCheck(): Promise<void> {
    this.#stop = true;
    await this.#running;
    const value = await this.#client.get(this.#key);
    if (Buffer.from(value ?? []).toString() !== String(this.count))
      throw new Error(`${this.#key} counted to ${this.count} and holds ${found(value)}`);
  }

  async #run(): Promise<void> {
    let entry = await this.#client.getEntry(this.#key);
    this.count = entry === undefined ? 0 : Number(Buffer.from(entry.value).toString());
    while (!this.#stop) {
      const batch = this.#client.batch().put(this.#key, String(this.count + 1));
      if (entry === undefined) batch.ifAbsent(this.#key);
      else batch.ifVersion(this.#key, entry.version);
      const { version } = await this.#client.write(batch);
      entry = { value: new Uint8Array(0), version };
      this.count++;
    }
  }
}

/** | number, key, length as text | filling that depends on them | */
function valueOf(key: string, { number, bytes }: { number: number; bytes: number }): Buffer {
  const head = Buffer.from(`${number} ${key} ${bytes}\n`);
  return Buffer.concat([head, Buffer.alloc(bytes, (number * 31) & 0xff)]);
}

function matches(key: string, value: Uint8Array | undefined, expected: Content): boolean {
  if (value === undefined || expected === undefined) return value === undefined && expected === undefined;
  return valueOf(key, expected).equals(value);
}

function same(a: Content, b: Content): boolean {
  return a?.number === b?.number;
}

function shown(content: Content): string {
  return content === undefined ? 'nothing' : `write ${content.number} of ${content.bytes} bytes`;
}

function found(value: Uint8Array | undefined): string {
  if (value === undefined) return 'nothing';
  return `${value.length} bytes beginning ${JSON.stringify(Buffer.from(value.subarray(0, 60)).toString('latin1'))}`;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

class Xorshift {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2654435761 + 0x9e3779b9) >>> 0 || 1;
  }

  /** 32 bits. */
  next(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>>= 0);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { rounds: { type: 'string' }, seed: { type: 'string' }, dir: { type: 'string' } } });
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  const directory = values.dir ?? mkdtempSync(join(tmpdir(), 'sparrowkv-kill-'));
  process.stdout.write(`seed ${seed}, data in ${directory}\n`);
  const rounds = Number(values.rounds ?? 1_000);
  const result = await killLoop({ rounds, seed, directory, onRound: (report) => process.stdout.write(`${report}\n`) });
  process.stdout.write(`nothing lost, nothing half: ${JSON.stringify(result)}\n`);
  if (values.dir === undefined) rmSync(directory, { recursive: true });
}
