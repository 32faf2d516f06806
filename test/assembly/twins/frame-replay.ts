/** The twin of assembly/frame-replay.ts and of the checks of assembly/frame.ts: which frames recovery may take without looking at each. */
import { xxh64 } from '../../../base/xxh64.ts';

const [PUT, POINTER, DELETE, RANGE_DELETE] = [1, 2, 3, 4];
const KEY_BYTES_MAX = 4099;
const EXPIRY_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export interface TwinRecord {
  readonly key: string;
  readonly kind: number;
  readonly sequence: number;
  /** In hexadecimal. */
  readonly value: string;
}

export interface TwinReplay {
  /** Where the first frame begins that is not taken. */
  readonly bytes: number;
  readonly syncedTo: number;
  /** Those over `skipTo`, in order. */
  readonly records: readonly TwinRecord[];
}

/** Of frames from the beginning of `image` on, as far as room for nodes does not count. */
export function replayTwin(image: Uint8Array, segment: number, skipTo: number): TwinReplay {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  const records: TwinRecord[] = [];
  let at = 0;
  let syncedTo = 0;
  for (;;) {
    const frame = soundFrame(bytes, at, segment);
    if (frame === undefined || frame.payloadBytes > 0 || frame.records.some(({ kind }) => kind === RANGE_DELETE)) break;
    records.push(...frame.records.filter(({ sequence }) => sequence > skipTo));
    syncedTo = Math.max(syncedTo, frame.syncedTo);
    at += frame.bytes;
  }
  return { bytes: at, syncedTo, records };
}

interface TwinFrame {
  /** Header and records. */
  readonly bytes: number;
  readonly payloadBytes: number;
  readonly syncedTo: number;
  readonly records: readonly TwinRecord[];
}

function soundFrame(image: Buffer, at: number, segment: number): TwinFrame | undefined {
  if (image.length - at < 24) return undefined;
  const recordBytes = image.readUInt32LE(at + 8);
  if (recordBytes === 0 || recordBytes % 8 !== 0 || recordBytes > 0x3fffffff || 24 + recordBytes > image.length - at) return undefined;
  const { high, low } = xxh64(image, at + 8, recordBytes + 16, segment);
  if (image.readUInt32LE(at) !== low || image.readUInt32LE(at + 4) !== high) return undefined;
  const count = image.readUInt32LE(at + 20) & 0xffffff;
  const records: TwinRecord[] = [];
  const end = at + 24 + recordBytes;
  for (let from = at + 24; from < end;) {
    const record = soundRecord(image, from, end);
    if (record === undefined) return undefined;
    records.push(record.record);
    from += record.bytes;
  }
  if (records.length !== count) return undefined;
  return { bytes: 24 + recordBytes, payloadBytes: image.readUInt32LE(at + 12), syncedTo: image.readUInt32LE(at + 16), records };
}

function soundRecord(image: Buffer, at: number, end: number): { bytes: number; record: TwinRecord } | undefined {
  if (end - at < 16) return undefined;
  const valueBytes = image.readUInt32LE(at);
  const keyBytes = image.readUInt16LE(at + 4);
  const [kind, flags] = [image[at + 6]!, image[at + 7]!];
  if (keyBytes < 1 || keyBytes > KEY_BYTES_MAX || valueBytes > 0x3fffffff || flags > 1) return undefined;
  const expiryBytes = flags * 8;
  const fits =
    (kind === PUT && valueBytes >= expiryBytes) ||
    (kind === POINTER && valueBytes === 24 + expiryBytes) ||
    (kind === DELETE && valueBytes === 0 && flags === 0) ||
    (kind === RANGE_DELETE && valueBytes >= 1 && valueBytes <= KEY_BYTES_MAX && flags === 0);
  const bytes = (16 + keyBytes + valueBytes + 7) & ~7;
  if (!fits || bytes > end - at) return undefined;
  const key = image.subarray(at + 16, at + 16 + keyBytes);
  const value = image.subarray(at + 16 + keyBytes, at + 16 + keyBytes + valueBytes);
  if (flags === 1 && value.readBigUInt64LE(0) > EXPIRY_MAX) return undefined;
  if (kind === RANGE_DELETE && Buffer.compare(key, value) >= 0) return undefined;
  const sequence = Number(image.readBigUInt64LE(at + 8));
  return { bytes, record: { key: key.toString('hex'), kind, sequence, value: value.toString('hex') } };
}
