/**
 * What a group of workloads is given in its process: one variant of one engine, a directory of its own, limits, and where to report.
 * The parent is run.ts, the process is child.ts.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { Choice, type Keys, type Values } from './data.ts';
import { directoryBytes } from './disk.ts';
import { adapterOf } from './engines.ts';
import { Meter, type Measured, type RunLimits } from './meter.ts';
import type { Settled, Store, Variant } from './store.ts';
import type { Result } from './result.ts';

const LOAD_BATCH = 1000;
/** Keys that are read back and compared, a store. */
const VERIFIED_KEYS = 200;
const QUIET_MS = 100;
const QUIET_MS_MAX = 10_000;

export interface SessionOptions {
  variant: Variant;
  /** Size of the database in records of 100 bytes; others hold about as many bytes. */
  records: number;
  /** One measurement's limit. */
  milliseconds: number;
  directory: string;
  report: (result: Result) => void;
}

export class Session {
  readonly variant: Variant;
  readonly records: number;
  readonly limits: RunLimits;
  readonly directory: string;
  readonly #report: (result: Result) => void;
  #stores = 0;

  constructor(options: SessionOptions) {
    this.variant = options.variant;
    this.records = options.records;
    this.limits = { operations: options.records, milliseconds: options.milliseconds };
    this.directory = options.directory;
    this.#report = options.report;
  }

  /** Records of `valueBytes` that take about the space of 640 bytes a record of the run's size, 512 MiB at most. */
  recordsOf(valueBytes: number): number {
    const budget = Math.min(512 * 2 ** 20, this.records * 640);
    return Math.max(8, Math.min(this.records, Math.floor(budget / valueBytes)));
  }

  /** An empty directory. */
  freshDirectory(): string {
    const directory = join(this.directory, `store-${this.#stores++}`);
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  remove(directory: string): void {
    rmSync(directory, { recursive: true, force: true });
  }

  async open(directory: string, valueBytes: number, synced: boolean = false): Promise<Store> {
    const adapter = await adapterOf(this.variant.family);
    return adapter.open({ directory, variant: this.variant.variant, synced, valueBytes });
  }

  /** Reports a run whose store has been closed: the bytes on disk are those at rest. */
  report(workload: string, measured: Measured, directory: string, records: number, valueBytes: number): void {
    const { operations, opsPerSec, p50Us, p99Us, maxUs, cpuUsPerOp, peakRssBytes, bytesWritten } = measured;
    this.#report({
      workload,
      engine: this.variant.name,
      records,
      valueBytes,
      opsPerSec,
      p50Us,
      p99Us,
      cpuUsPerOp,
      peakRssBytes,
      bytesWritten: bytesWritten ?? null,
      bytesOnDisk: directoryBytes(directory),
      operations,
      maxUs,
    });
  }

  /** Fills a store by batches, closes it so that logs are flushed, and opens it again when it has come to rest. */
  async loaded(directory: string, keys: Keys, values: Values, count: number = keys.count): Promise<Store> {
    const store = await this.open(directory, values.bytes);
    await this.load(store, keys, values, count);
    await store.settle?.();
    await store.close();
    const reopened = await this.open(directory, values.bytes);
    await this.quiet();
    await this.verify(reopened, keys, values, count);
    return reopened;
  }

  async load(store: Store, keys: Keys, values: Values, count: number = keys.count): Promise<void> {
    const step = Math.max(1, Math.min(LOAD_BATCH, Math.floor((4 * 2 ** 20) / values.bytes)));
    for (let start = 0; start < count; start += step) {
      const end = Math.min(start + step, count);
      await store.batch(keys.range(start, end), values.range(start, end));
    }
  }

  /** Reads some of the first `count` keys and compares them with what was written (version `version`). */
  async verify(store: Store, keys: Keys, values: Values, count: number, version: number = 0): Promise<void> {
    const choice = new Choice(0xc4ec);
    for (let n = 0; n < Math.min(VERIFIED_KEYS, count); n++) {
      const i = n === 0 ? count - 1 : choice.below(count);
      const value = await store.get(keys.at(i));
      // Length and bytes apart: lmdb's reused buffer overrides only the first.
      if (value?.length !== values.bytes || values.of(i, version).compare(value, 0, values.bytes) !== 0) {
        throw new Error(`${this.variant.name} did not return what was written to key ${i} of ${count}`);
      }
    }
  }

  /** Settles when the process has used next to no CPU for a while: background compaction is done, or never ends. */
  async quiet(): Promise<void> {
    const deadline = performance.now() + Math.min(QUIET_MS_MAX, this.limits.milliseconds * 5);
    while (performance.now() < deadline) {
      const before = process.cpuUsage();
      await sleep(QUIET_MS);
      const { user, system } = process.cpuUsage(before);
      if ((user + system) / 1000 < QUIET_MS / 10) return;
    }
  }

  meter(): Meter {
    return new Meter();
  }
}

export async function settle<T>(pending: Settled<T>): Promise<T> {
  return pending instanceof Promise ? await pending : pending;
}
