/**
 * What a node that refuses with rerouted/WRONG_SHARD knows of shards instead, as `details.shards` of the error carries it: which keys they have, since
 * which epoch. A sender orders them by epoch with what it knows, and asks again.
 *
 * JSON text, in ASCII; keys in base64:
 *
 *   [{"shard":1,"table":1,"epoch":2,"start":"","end":"bQ=="},{"shard":16,"table":1,"epoch":2,"start":"bQ=="}]     without an end: to the last key
 *   [{"shard":20,"table":4,"epoch":3,"bits":2,"index":3}]                                                        hash table
 *
 * Used by server/gateway and client.
 */
export interface ShardNote {
  readonly shard: number;
  readonly table: number;
  readonly epoch: number;
  readonly keys:
    | { readonly kind: 'range'; readonly start: Uint8Array; readonly end: Uint8Array | undefined }
    | { readonly kind: 'hash'; readonly bits: number; readonly index: number };
}

/** The details of an error have a bound of 4,096 bytes (base/rpc-status.ts), and others go with these. */
const TEXT_BYTES_MAX = 3_000;

/** Those that come first matter most: what does not fit is left out, and the sender asks the metaserver. */
export function encodeShardNotes(notes: Iterable<ShardNote>): string {
  const parts: string[] = [];
  let length = 2;
  for (const { shard, table, epoch, keys } of notes) {
    const where =
      keys.kind === 'hash'
        ? { bits: keys.bits, index: keys.index }
        : { start: base64(keys.start), ...(keys.end && { end: base64(keys.end) }) };
    const part = JSON.stringify({ shard, table, epoch, ...where });
    length += part.length + 1;
    if (length > TEXT_BYTES_MAX) break;
    parts.push(part);
  }
  return `[${parts.join(',')}]`;
}

/** Whatever is not of this form is left out: it comes from another process, and another release of it. */
export function decodeShardNotes(text: unknown): ShardNote[] {
  if (typeof text !== 'string') return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return [];
  }
  return Array.isArray(parsed) ? parsed.map(noteOf).filter((note) => note !== undefined) : [];
}

function noteOf(part: unknown): ShardNote | undefined {
  if (typeof part !== 'object' || part === null) return undefined;
  const { shard, table, epoch, start, end, bits, index } = part as Record<string, unknown>;
  if (!isU32(shard) || !isU32(table) || !isU32(epoch) || shard === 0 || epoch === 0) return undefined;
  if (isU32(bits) && isU32(index) && bits <= 32 && index < 2 ** bits) return { shard, table, epoch, keys: { kind: 'hash', bits, index } };
  if (typeof start !== 'string' || (end !== undefined && typeof end !== 'string')) return undefined;
  const keys = { kind: 'range', start: bytesOf(start), end: end === undefined ? undefined : bytesOf(end) } as const;
  return keys.end === undefined || Buffer.compare(keys.start, keys.end) < 0 ? { shard, table, epoch, keys } : undefined;
}

function isU32(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'));
}
