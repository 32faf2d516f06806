/**
 * What the engine must be like: the list of batches so far, and the sorted map that they make. Sequence n is the n-th batch, so that a
 * state of the store after a crash is a number: how many batches are in it.
 */
import type { ScanOptions } from '../../engine/index.ts';

export interface ModelWrite {
  readonly key: Uint8Array;
  /** Undefined: a delete. */
  readonly value: Uint8Array | undefined;
  /** A delete of all keys from `key` to this one, which is left. */
  readonly end?: Uint8Array;
}

export interface ModelValue {
  readonly value: Uint8Array;
  /** Number of the batch that wrote it. */
  readonly version: number;
}

/** Keys in latin1, which orders as bytes do. */
type State = ReadonlyMap<string, ModelValue>;

export class Model {
  readonly #batches: (readonly ModelWrite[])[] = [];
  #state = new Map<string, ModelValue>();

  /** Number of batches: the sequence of the last one. */
  get sequence(): number {
    return this.#batches.length;
  }

  get size(): number {
    return this.#state.size;
  }

  apply(batch: readonly ModelWrite[]): void {
    this.#batches.push(batch);
    applyTo(this.#state, batch, this.#batches.length);
  }

  /** Forgets the batches after the first `count`: a crash took them. */
  truncate(count: number): void {
    this.#batches.length = count;
    this.#state = new Map();
    for (const [i, batch] of this.#batches.entries()) applyTo(this.#state, batch, i + 1);
  }

  get(key: Uint8Array): ModelValue | undefined {
    return this.#state.get(latin1(key));
  }

  /** As it is now, to be compared with a snapshot later. */
  freeze(): Frozen {
    return new Frozen(new Map(this.#state), this.sequence);
  }

  scan(options: ScanOptions = {}): [string, string][] {
    return scan(this.#state, options);
  }
}

export class Frozen {
  readonly sequence: number;
  readonly #state: State;

  constructor(state: State, sequence: number) {
    this.#state = state;
    this.sequence = sequence;
  }

  get(key: Uint8Array): ModelValue | undefined {
    return this.#state.get(latin1(key));
  }

  scan(options: ScanOptions = {}): [string, string][] {
    return scan(this.#state, options);
  }
}

export function latin1(bytes: Uint8Array | string): string {
  return typeof bytes === 'string' ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function applyTo(state: Map<string, ModelValue>, batch: readonly ModelWrite[], version: number): void {
  for (const { key, value, end } of batch) {
    if (end) for (const each of state.keys()) if (each >= latin1(key) && each < latin1(end)) state.delete(each);
    if (end) continue;
    if (value === undefined) state.delete(latin1(key));
    else state.set(latin1(key), { value, version });
  }
}

/** Entries as text: [key, value] in latin1, in the order of the scan. */
function scan(state: State, options: ScanOptions): [string, string][] {
  const { gt, gte, lt, lte, prefix } = options;
  const within = (key: string): boolean =>
    (gt === undefined || key > latin1(gt)) &&
    (gte === undefined || key >= latin1(gte)) &&
    (lt === undefined || key < latin1(lt)) &&
    (lte === undefined || key <= latin1(lte)) &&
    (prefix === undefined || key.startsWith(latin1(prefix)));
  const keys = [...state.keys()].filter(within).sort();
  if (options.reverse) keys.reverse();
  if (options.limit !== undefined) keys.length = Math.min(keys.length, options.limit);
  return keys.map((key) => [key, options.keysOnly ? '' : latin1(state.get(key)!.value)]);
}
