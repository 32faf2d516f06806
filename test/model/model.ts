/**
 * What the engine must be like: the list of batches so far, and the sorted map that they make. Sequence n is the n-th batch, so that a
 * state of the store after a crash is a number: how many batches are in it. Values that have expired are still in the map; whoever looks
 * says what time it is.
 */
import type { ScanOptions } from '../../engine/index.ts';

/** What an operation comes to. Increments are puts here. */
export interface ModelWrite {
  readonly keyspace: number;
  /** Of a range: its first key. */
  readonly key: Uint8Array;
  /** Undefined: a delete. */
  readonly value: Uint8Array | undefined;
  /** Undefined: never. */
  readonly expiresAtMs?: number | undefined;
  /** All keys from `key` to this one, which is left, or `null`: to the last. */
  readonly end?: Uint8Array | null;
}

export interface ModelValue {
  readonly value: Uint8Array;
  /** Number of the batch that wrote it. */
  readonly version: number;
  readonly expiresAtMs: number | undefined;
}

/** By keyspace, as a character, and key in latin1, which orders as bytes do. */
type State = ReadonlyMap<string, ModelValue>;

/** A state that can be asked: the model's own, or one that it froze. */
export class ModelState {
  protected state: Map<string, ModelValue>;

  constructor(state: State = new Map()) {
    this.state = new Map(state);
  }

  get(keyspace: number, key: Uint8Array, nowMs: number): ModelValue | undefined {
    const found = this.state.get(nameOf(keyspace, key));
    return found && isThere(found, nowMs) ? found : undefined;
  }

  /** Entries within the bounds, in the order of the scan, expired ones too. Keys in latin1. */
  entries(keyspace: number, options: ScanOptions = {}): [string, ModelValue][] {
    const { gt, gte, lt, lte, prefix } = options;
    const space = String.fromCodePoint(keyspace);
    const within = (key: string): boolean =>
      (gt === undefined || key > latin1(gt)) &&
      (gte === undefined || key >= latin1(gte)) &&
      (lt === undefined || key < latin1(lt)) &&
      (lte === undefined || key <= latin1(lte)) &&
      (prefix === undefined || key.startsWith(latin1(prefix)));
    const found: [string, ModelValue][] = [];
    for (const [name, value] of this.state) {
      if (name.startsWith(space) && within(name.slice(1))) found.push([name.slice(1), value]);
    }
    found.sort(([a], [b]) => (a < b ? -1 : 1));
    return options.reverse ? found.toReversed() : found;
  }

  /** What a scan gives at that time: key and value in latin1. */
  scan(keyspace: number, options: ScanOptions, nowMs: number): [string, string][] {
    return this.entries(keyspace, options)
      .filter(([, value]) => isThere(value, nowMs))
      .slice(0, options.limit ?? Infinity)
      .map(([key, { value }]) => [key, options.keysOnly ? '' : latin1(value)]);
  }

  /** Forgets a keyspace. */
  clear(keyspace: number): void {
    applyTo(this.state, [{ keyspace, key: new Uint8Array(0), value: undefined, end: null }], 0);
  }
}

export class Model extends ModelState {
  readonly #batches: (readonly ModelWrite[])[] = [];

  /** Number of batches: the sequence of the last one. */
  get sequence(): number {
    return this.#batches.length;
  }

  /** What the batch of that sequence number came to. */
  batch(sequence: number): readonly ModelWrite[] {
    return this.#batches[sequence - 1]!;
  }

  apply(batch: readonly ModelWrite[]): void {
    this.#batches.push(batch);
    applyTo(this.state, batch, this.#batches.length);
  }

  /** What is there after these writes, before they are applied. */
  with(batch: readonly ModelWrite[]): ModelState {
    const next = this.freeze();
    applyTo(next.state, batch, this.#batches.length + 1);
    return next;
  }

  /** Forgets the batches after the first `count`: a crash took them. */
  truncate(count: number): void {
    if (count === this.#batches.length) return;
    this.#batches.length = count;
    this.state = new Map();
    for (const [i, batch] of this.#batches.entries()) applyTo(this.state, batch, i + 1);
  }

  /** As it is now, to be compared with a snapshot later. */
  freeze(): Frozen {
    return new Frozen(this.state, this.sequence);
  }
}

export class Frozen extends ModelState {
  readonly sequence: number;
  declare state: Map<string, ModelValue>;

  constructor(state: State, sequence: number) {
    super(state);
    this.sequence = sequence;
  }
}

export function isThere(value: ModelValue, nowMs: number): boolean {
  return value.expiresAtMs === undefined || value.expiresAtMs > nowMs;
}

export function latin1(bytes: Uint8Array | string): string {
  return typeof bytes === 'string' ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function applyTo(state: Map<string, ModelValue>, batch: readonly ModelWrite[], version: number): void {
  for (const { keyspace, key, value, expiresAtMs, end } of batch) {
    const name = nameOf(keyspace, key);
    if (end !== undefined) {
      const behind = end === null ? String.fromCodePoint(keyspace + 1) : nameOf(keyspace, end);
      for (const each of state.keys()) if (each >= name && each < behind) state.delete(each);
    } else if (value === undefined) state.delete(name);
    else state.set(name, { value, version, expiresAtMs });
  }
}

function nameOf(keyspace: number, key: Uint8Array): string {
  return String.fromCodePoint(keyspace) + latin1(key);
}
