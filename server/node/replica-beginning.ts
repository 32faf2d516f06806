/**
 * What a replica that was made by an order begins with: its shard, and who votes before the first entry. Kept in the directory of its group, because a
 * replica may be started again before anything was applied to it.
 *
 *   beginning   | magic "SPKVBEG1" | format u32 = 1 | descriptor bytes u32 | voters u32 | zero u32 | descriptor | voter u32 ... | check u64 |
 *               little-endian; descriptor: server/shard/descriptor.ts; check = XXH64 of what is before it, seed 0
 *
 * Written before the group is there (its `current`, group-directory.ts), never changed. Later, what was applied has both, and is right.
 *
 * Format: docs/formats/group-directory.md. Used by node-replicas.ts.
 */
import type { FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { newerFormat } from '../../base/format-version.ts';
import { readWholeFile, writeWholeFile } from '../../base/whole-file.ts';
import { decodeDescriptor, encodeDescriptor, type ShardDescriptor } from '../shard/descriptor.ts';
import type { Hash64 } from './log/index.ts';

export interface ReplicaBeginning {
  readonly descriptor: ShardDescriptor;
  /** Empty: a leader is to take this member in. */
  readonly voters: readonly number[];
  /** What was kept of it is damaged: this is not it, and where nothing was applied yet, nothing may be. */
  readonly damage?: SparrowError;
}

const MAGIC = 'SPKVBEG1';
const FORMAT = 1;
const HEAD_BYTES = 24;
const CHECK_BYTES = 8;
const BYTES_MAX: number = 16 * 1024 * 1024;

export function encodeBeginning({ descriptor, voters }: ReplicaBeginning, hash: Hash64): Buffer {
  const shard = encodeDescriptor(descriptor);
  const end = HEAD_BYTES + shard.length + 4 * voters.length;
  const bytes = Buffer.alloc(end + CHECK_BYTES);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(FORMAT, 8);
  bytes.writeUInt32LE(shard.length, 12);
  bytes.writeUInt32LE(voters.length, 16);
  bytes.set(shard, HEAD_BYTES);
  for (const [i, voter] of voters.entries()) bytes.writeUInt32LE(voter, HEAD_BYTES + shard.length + 4 * i);
  bytes.writeBigUInt64LE(hash(bytes.subarray(0, end), 0n), end);
  return bytes;
}

/** Throws `corrupt/CORRUPT_GROUP`, `invalid/FORMAT_NEWER`. */
export function decodeBeginning(bytes: Buffer, file: string, hash: Hash64): ReplicaBeginning {
  if (bytes.length < HEAD_BYTES + CHECK_BYTES || bytes.toString('latin1', 0, 8) !== MAGIC) throw corrupt(file, 'it is none');
  const format = bytes.readUInt32LE(8);
  if (format > FORMAT) throw newerFormat(file, format, FORMAT);
  const end = bytes.length - CHECK_BYTES;
  const voters = HEAD_BYTES + bytes.readUInt32LE(12);
  if (voters + 4 * bytes.readUInt32LE(16) !== end || bytes.readBigUInt64LE(end) !== hash(bytes.subarray(0, end), 0n))
    throw corrupt(file, 'its check does not hold');
  return {
    descriptor: decodeDescriptor(bytes.subarray(HEAD_BYTES, voters)),
    voters: Array.from({ length: (end - voters) / 4 }, (_, i) => bytes.readUInt32LE(voters + 4 * i)),
  };
}

/** Undefined: the group was not made by an order. */
export function readBeginning(fileSystem: FileSystem, group: string, hash: Hash64): ReplicaBeginning | undefined {
  const path = `${group}/beginning`;
  const bytes = readWholeFile(fileSystem, path, BYTES_MAX);
  return bytes && decodeBeginning(bytes, path, hash);
}

/** Durable when it returns. */
export function writeBeginning(fileSystem: FileSystem, group: string, beginning: ReplicaBeginning, hash: Hash64): void {
  fileSystem.makeDirectorySync(group);
  writeWholeFile(fileSystem, `${group}/beginning`, encodeBeginning(beginning, hash));
}

function corrupt(file: string, what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_GROUP', `${file} does not say what the group began with: ${what}`, { file, offset: 0 });
}
