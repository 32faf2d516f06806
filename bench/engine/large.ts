/**
 * `node bench/engine/large.ts`: one engine with more data than its caches hold, read and written for as long as asked, every answer compared.
 * Loads the records in random key order by batches of 100, then goes on with half reads, half overwrites of uniformly random keys, one by
 * one, and an eleventh operation in each ten that reads ten entries in a row. A line for each interval says speed, latency, the delay of
 * the event loop, memory and disk; --json FILE takes them as JSON lines. Exit code 1 on a wrong answer.
 */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { Choice, KEY_BYTES, mix, Values } from './data.ts';
import { directoryBytes } from './disk.ts';
import { adapterOf, chooseVariants } from './engines.ts';
import type { Store } from './store.ts';

const BATCH = 100;
const OPERATIONS_BETWEEN_CLOCKS = 64;
const MIB = 2 ** 20;

const { values: options } = parseArgs({
  options: {
    engine: { type: 'string', default: 'sparrowkv:sync' },
    gigabytes: { type: 'string', default: '10' },
    'value-bytes': { type: 'string', default: '1024' },
    minutes: { type: 'string', default: '60' },
    interval: { type: 'string', default: '10' },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
  },
});

interface Sample {
  phase: 'load' | 'mixed';
  seconds: number;
  opsPerSec: number;
  readP50Us: number;
  readP99Us: number;
  writeP99Us: number;
  writeMaxUs: number;
  loopDelayP99Ms: number;
  rssMib: number;
  heapMib: number;
  diskMib: number;
}

/** 16 bytes, distinct for distinct indexes, in no order. Valid until the next call. */
class KeyMaker {
  readonly #bytes: Buffer = Buffer.alloc(KEY_BYTES);

  at(index: number): Buffer {
    for (let word = 0; word < 4; word++) this.#bytes.writeUInt32BE(mix(index ^ Math.imul(word, 0x9e3779b1)), word * 4);
    return this.#bytes;
  }
}

class Run {
  readonly #store: Store;
  readonly #directory: string;
  readonly #records: number;
  readonly #values: Values;
  readonly #keys = new KeyMaker();
  readonly #versions: Uint16Array;
  readonly #choice = new Choice(5);
  readonly #delay = monitorEventLoopDelay({ resolution: 1 });
  readonly #begun = performance.now();
  #reads: number[] = [];
  #writes: number[] = [];
  #operations = 0;
  #since = performance.now();

  constructor(store: Store, directory: string, records: number, valueBytes: number) {
    this.#store = store;
    this.#directory = directory;
    this.#records = records;
    this.#values = new Values(valueBytes);
    this.#versions = new Uint16Array(records);
    this.#delay.enable();
  }

  async load(intervalMs: number): Promise<void> {
    for (let i = 0; i < this.#records; i += BATCH) {
      const end = Math.min(this.#records, i + BATCH);
      const keys: Buffer[] = [];
      for (let at = i; at < end; at++) keys.push(Buffer.from(this.#keys.at(at)));
      const before = performance.now();
      await this.#store.batch(keys, this.#values.range(i, end));
      const now = performance.now();
      this.#writes.push(now - before);
      this.#operations += end - i;
      if (now - this.#since >= intervalMs) this.#sample('load');
    }
    this.#sample('load');
  }

  async mixed(milliseconds: number, intervalMs: number): Promise<void> {
    const until = performance.now() + milliseconds;
    for (let now = performance.now(); now < until; now = performance.now()) {
      for (let i = 0; i < OPERATIONS_BETWEEN_CLOCKS; i++) await this.#one(i);
      if (now - this.#since >= intervalMs) this.#sample('mixed');
      // Some engines' calls are synchronous: the loop must turn for its delay to mean something.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#sample('mixed');
  }

  async #one(i: number): Promise<void> {
    const item = this.#choice.below(this.#records);
    const before = performance.now();
    if (i % 11 === 10) {
      let seen = 0;
      await this.#store.seekNext(this.#keys.at(item), 10, () => seen++);
      if (seen === 0) throw new Error(`a scan from key ${item}, which is there, finds nothing`);
    } else if (i % 2 === 0) {
      const found = await this.#store.get(this.#keys.at(item));
      this.#reads.push(performance.now() - before);
      this.#check(item, found);
    } else {
      const version = (this.#versions[item]! + 1) & 0xffff;
      await this.#store.put(this.#keys.at(item), this.#values.of(item, version));
      this.#versions[item] = version;
      this.#writes.push(performance.now() - before);
    }
    this.#operations++;
  }

  #check(item: number, found: Uint8Array | undefined): void {
    if (!found || Buffer.compare(found, this.#values.of(item, this.#versions[item])) !== 0) {
      throw new Error(`key ${item} has ${found ? 'another value' : 'no value'}; it was written ${this.#versions[item]! + 1} times`);
    }
  }

  #sample(phase: Sample['phase']): void {
    const now = performance.now();
    const reads = this.#reads.sort((a, b) => a - b);
    const writes = this.#writes.sort((a, b) => a - b);
    const { rss, heapUsed } = process.memoryUsage();
    report({
      phase,
      seconds: round((now - this.#begun) / 1000),
      opsPerSec: Math.round((this.#operations / (now - this.#since)) * 1000),
      readP50Us: round(quantile(reads, 0.5) * 1000),
      readP99Us: round(quantile(reads, 0.99) * 1000),
      writeP99Us: round(quantile(writes, 0.99) * 1000),
      writeMaxUs: round(quantile(writes, 1) * 1000),
      loopDelayP99Ms: round(this.#delay.percentile(99) / 1e6),
      rssMib: Math.round((rss - sharedFileBytes()) / MIB),
      heapMib: Math.round(heapUsed / MIB),
      diskMib: Math.round(directoryBytes(this.#directory) / MIB),
    });
    this.#delay.reset();
    this.#reads = [];
    this.#writes = [];
    this.#operations = 0;
    this.#since = performance.now();
  }
}

function report(sample: Sample): void {
  const cells = Object.entries(sample).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`${cells.join('  ')}\n`);
  if (options.json) appendFileSync(options.json, `${JSON.stringify({ engine: options.engine, ...sample })}\n`);
}

/** What is mapped from files counts as resident but is the system's to drop: lmdb's whole database is. */
function sharedFileBytes(): number {
  try {
    return Number(/^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // Not Linux: resident memory is given with it.
  }
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

const valueBytes = Number(options['value-bytes']);
const records = Math.floor((Number(options.gigabytes) * 2 ** 30) / (valueBytes + KEY_BYTES));
if (!(records >= 1)) throw new Error('--gigabytes and --value-bytes make no record');
const [variant] = await chooseVariants([options.engine]);
const adapter = await adapterOf(variant!.family);
const directory = mkdtempSync(join(options.dir, `${variant!.family}-large-`));
try {
  const store = await adapter.open({ directory, variant: variant!.variant, synced: false, valueBytes });
  const run = new Run(store, directory, records, valueBytes);
  await run.load(Number(options.interval) * 1000);
  await run.mixed(Number(options.minutes) * 60_000, Number(options.interval) * 1000);
  await store.close();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
