/**
 * What a shard's engine has of it, beside its data: what it is, on which side of a merge it stands, and how far foreign keys are swept. Little-endian:
 *
 *   | 0x00 | 's' |  ->  its descriptor (server/shard/descriptor.ts)
 *   | 0x00 | 'w' |  ->  the key of the engine at which the next SWEEP begins; gone when no foreign keys are left
 *   | 0x00 | 'm' |  ->  | 1 u8 | zero 7 bytes | sealed u64 |                                                      source of a merge: index of the SEAL
 *                   ->  | 2 u8 | complete u8 | zero 6 bytes | session u64 | sealed u64 | entries u64 | floor u64 | descriptor of the source |      target
 *                       gone when there is none
 *
 * Format: docs/formats/command.md. Written by shard-changes.ts and child-maker.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import { decodeDescriptor, encodeDescriptor, type ShardDescriptor } from '../shard/descriptor.ts';
import { OWN_PREFIX } from './keys.ts';

/** An import that is complete. */
export interface ImportedShard {
  /** Index of its BEGIN_IMPORT, and of the SEAL of the source. */
  readonly session: number;
  readonly sealed: number;
  readonly source: ShardDescriptor;
}

/** A merge of which this shard is the source, or the target. */
export type Merge =
  | { readonly side: 'source'; readonly sealed: number }
  | {
      readonly side: 'target';
      readonly complete: boolean;
      readonly session: number;
      readonly sealed: number;
      readonly entries: number;
      readonly floor: number;
      readonly source: ShardDescriptor;
    };

export const DESCRIPTOR_KEY: Uint8Array = Uint8Array.of(OWN_PREFIX, 0x73);
export const MERGE_KEY: Uint8Array = Uint8Array.of(OWN_PREFIX, 0x6d);
export const SWEEP_KEY: Uint8Array = Uint8Array.of(OWN_PREFIX, 0x77);

const SOURCE = 1;
const TARGET = 2;
const TARGET_HEAD_BYTES = 40;

export function encodeMerge(merge: Merge): Buffer {
  if (merge.side === 'source') {
    const bytes = Buffer.alloc(16);
    bytes[0] = SOURCE;
    bytes.writeBigUInt64LE(BigInt(merge.sealed), 8);
    return bytes;
  }
  const bytes = Buffer.alloc(TARGET_HEAD_BYTES);
  bytes[0] = TARGET;
  bytes[1] = merge.complete ? 1 : 0;
  for (const [i, value] of [merge.session, merge.sealed, merge.entries, merge.floor].entries())
    bytes.writeBigUInt64LE(BigInt(value), 8 + 8 * i);
  return Buffer.concat([bytes, encodeDescriptor(merge.source)]);
}

/** Throws `corrupt/CORRUPT_STATE`. */
export function decodeMerge(source: Uint8Array): Merge {
  const bytes = Buffer.from(source);
  const u64 = (at: number): number => Number(bytes.readBigUInt64LE(at));
  if (bytes.length === 16 && bytes[0] === SOURCE) return { side: 'source', sealed: u64(8) };
  if (bytes.length <= TARGET_HEAD_BYTES || bytes[0] !== TARGET)
    throw new SparrowError('corrupt', 'CORRUPT_STATE', 'the record of a merge is malformed');
  return {
    side: 'target',
    complete: bytes[1] === 1,
    session: u64(8),
    sealed: u64(16),
    entries: u64(24),
    floor: u64(32),
    source: decodeDescriptor(bytes.subarray(TARGET_HEAD_BYTES)),
  };
}
