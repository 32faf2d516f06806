/** The twin of expiry in the kernels (assembly/record.ts), written from docs/formats/log.md. */
interface Stored {
  readonly kind: number;
  readonly flags?: number;
  /** As it is stored. */
  readonly value: Uint8Array;
}

const EXPIRES = 1;
const KIND_DELETE = 3;

/** The entry as one that ends at `atMs`. */
export function withExpiry<T extends Stored>(entry: T, atMs: number): T & { flags: number; value: Uint8Array } {
  const value = new Uint8Array(8 + entry.value.length);
  new DataView(value.buffer).setBigUint64(0, BigInt(atMs), true);
  value.set(entry.value, 8);
  return { ...entry, flags: (entry.flags ?? 0) | EXPIRES, value };
}

/** Undefined: it does not expire. */
export function expiryOf({ flags, value }: Stored): number | undefined {
  if (((flags ?? 0) & EXPIRES) === 0) return undefined;
  return Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
}

/** Whether it says at `nowMs` that its key is not there. */
export function isGone(entry: Stored, nowMs: number): boolean {
  return entry.kind === KIND_DELETE || (expiryOf(entry) ?? Infinity) <= nowMs;
}

/** The stored value without the expiry. */
export function plainValue(entry: Stored): Uint8Array {
  return expiryOf(entry) === undefined ? entry.value : entry.value.subarray(8);
}

/** What flush and merge make of it: a delete of the same key and sequence when it has expired. */
export function asOf<T extends Stored>(entry: T, nowMs: number): T {
  if (entry.kind === KIND_DELETE || !isGone(entry, nowMs)) return entry;
  const { flags: _, ...rest } = entry;
  return { ...rest, kind: KIND_DELETE, value: new Uint8Array(0) } as T;
}
