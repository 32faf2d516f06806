/**
 * Commands that change which keys a shard has: a split, and the steps of a merge (shard-changes.ts carries them out; docs/shards.md tells the whole story).
 * Little-endian, behind the head of all commands (command-codec.ts), without epoch or request id there.
 *
 *   PREPARE_SPLIT (16): | as SPLIT |                                            what can be done before is done, so that SPLIT finds little to do
 *   SPLIT (17):         | epoch u32 | child u32 | how u8 | zero u8 | key bytes u16 | key |      how: 1 at a key, 2 by one more bit of the hash, no key
 *   RESUME (18):        | epoch u32 |                                           neither prepared nor sealed any more
 *   SEAL (19):          | epoch u32 |                                           nothing is written from here on
 *   RETIRE (20):        | epoch u32 | zero u32 | sealed u64 |                   nothing is read either; `sealed`: index of the SEAL that it goes with
 *   BEGIN_IMPORT (21):  | epoch u32 | descriptor bytes u32 | sealed u64 | descriptor of the source |
 *   IMPORT (22):        | session u64 | requests u32 | entries u32 | request ... | entry ... |
 *     request:          | client bytes u8 | zero u8 | result bytes u16 | zero u32 | sequence u64 | index u64 | client | result |
 *     entry:            | key bytes u16 | zero u16 | value bytes u32 | expires u64, 0 never | key | value |
 *   END_IMPORT (23):    | session u64 | entries u64 | floor u64 |               all is there; floor: of the source's memory of writes
 *   COMMIT_MERGE (24):  | epoch u32 | zero u32 | session u64 |                  the keys of the source are the target's
 *   CANCEL_IMPORT (25): | epoch u32 |                                           what was imported goes
 *   SWEEP (26):         | epoch u32 | limit u32 |                               of the next keys, at most so many, foreign ones are deleted
 *   DESCRIBE (27):      | epoch u32 | inline threshold u32 | ttl ms u64 | flags u32: 1 dropped, 2 durability os |      the settings of its table
 *
 * `session` is the index of the BEGIN_IMPORT: what is left of an attempt that was given up is told by it. Keys of entries are the engine's, with their
 * prefix; that of SPLIT is a user's. Format: docs/formats/command.md. Encoded by shard-verbs.ts and sweeper.ts, decoded by command-codec.ts.
 */
import type { ValuePlace } from '../../engine/index.ts';
import {
  decodeDescriptor,
  encodeDescriptor,
  flagsOf,
  settingsOfFlags,
  type ShardDescriptor,
  type ShardSettings,
} from '../shard/descriptor.ts';
import { type CommandReader, corruptCommand } from './command-reader.ts';

/** Where a shard is split. */
export type SplitAt =
  | {
      readonly how: 'key';
      /** The first key of the child, a user's. */
      readonly key: Uint8Array;
    }
  | { readonly how: 'hash' };

/** An entry of the engine that is copied. */
export interface ImportedEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly expiresAtMs: number | undefined;
  /** Of a command that is decoded: where the value lies on the disk, if it is a large one. */
  readonly at?: ValuePlace | undefined;
}

/** A remembered write (request-table.ts) that is copied. */
export interface ImportedRequest {
  readonly client: Uint8Array;
  readonly sequence: number;
  readonly index: number;
  readonly result: Uint8Array;
}

export type ShardCommand =
  | { kind: 'prepare-split' | 'split'; epoch: number; child: number; at: SplitAt }
  | { kind: 'resume'; epoch: number }
  | { kind: 'seal'; epoch: number }
  | { kind: 'retire'; epoch: number; sealed: number }
  | { kind: 'begin-import'; epoch: number; sealed: number; source: ShardDescriptor }
  | { kind: 'import'; session: number; requests: readonly ImportedRequest[]; entries: readonly ImportedEntry[] }
  | { kind: 'end-import'; session: number; entries: number; floor: number }
  | { kind: 'commit-merge'; epoch: number; session: number }
  | { kind: 'cancel-import'; epoch: number }
  | { kind: 'sweep'; epoch: number; limit: number }
  | { kind: 'describe'; epoch: number; settings: ShardSettings };

const FORMAT = 1;
const KINDS: readonly ShardCommand['kind'][] = [
  'prepare-split',
  'split',
  'resume',
  'seal',
  'retire',
  'begin-import',
  'import',
  'end-import',
  'commit-merge',
  'cancel-import',
  'sweep',
  'describe',
];
const FIRST_KIND = 16;
const AT_KEY = 1;
const BY_HASH = 2;
const TWO_32: number = 2 ** 32;
/** Of an entry beyond its key and value, and of a remembered write beyond client and result. */
export const ENTRY_HEAD_BYTES = 16;
export const REQUEST_HEAD_BYTES = 24;

export function encodeShardCommand(command: ShardCommand): Buffer {
  const head = Buffer.alloc(4);
  head[0] = FORMAT;
  head[1] = FIRST_KIND + KINDS.indexOf(command.kind);
  return Buffer.concat([head, ...bodyOf(command)]);
}

function bodyOf(command: ShardCommand): Uint8Array[] {
  switch (command.kind) {
    case 'resume':
    case 'seal':
    case 'cancel-import':
      return [u32(command.epoch)];
    case 'prepare-split':
    case 'split': {
      const key = command.at.how === 'key' ? command.at.key : new Uint8Array(0);
      const how = Buffer.from([command.at.how === 'key' ? AT_KEY : BY_HASH, 0, key.length & 0xff, key.length >>> 8]);
      return [u32(command.epoch), u32(command.child), how, key];
    }
    case 'retire':
      return [u32(command.epoch), u32(0), u64(command.sealed)];
    case 'begin-import': {
      const source = encodeDescriptor(command.source);
      return [u32(command.epoch), u32(source.length), u64(command.sealed), source];
    }
    case 'import': {
      const { session, requests, entries } = command;
      return [u64(session), u32(requests.length), u32(entries.length), ...requests.flatMap(requestOf), ...entries.flatMap(entryOf)];
    }
    case 'end-import':
      return [u64(command.session), u64(command.entries), u64(command.floor)];
    case 'commit-merge':
      return [u32(command.epoch), u32(0), u64(command.session)];
    case 'sweep':
      return [u32(command.epoch), u32(command.limit)];
    case 'describe': {
      const { settings } = command;
      return [u32(command.epoch), u32(settings.inlineThreshold), u64(settings.ttlMs), u32(flagsOf(settings))];
    }
  }
}

function requestOf({ client, sequence, index, result }: ImportedRequest): Uint8Array[] {
  const head = Buffer.alloc(8);
  head[0] = client.length;
  head.writeUInt16LE(result.length, 2);
  return [head, u64(sequence), u64(index), client, result];
}

function entryOf({ key, value, expiresAtMs }: ImportedEntry): Uint8Array[] {
  const head = Buffer.alloc(8);
  head.writeUInt16LE(key.length, 0);
  head.writeUInt32LE(value.length, 4);
  return [head, u64(expiresAtMs ?? 0), key, value];
}

/** What is behind the head of a command. Undefined: the kind is none of these. Its bytes alias the reader's. Throws `corrupt/CORRUPT_COMMAND`. */
export function readShardCommand(
  kind: number,
  reader: CommandReader,
  place: (ValuePlace & { readonly valueBytesMin: number }) | undefined,
): ShardCommand | undefined {
  const name = KINDS[kind - FIRST_KIND];
  switch (name) {
    case undefined:
      return undefined;
    case 'resume':
    case 'seal':
    case 'cancel-import':
      return { kind: name, epoch: reader.u32() };
    case 'prepare-split':
    case 'split':
      return readSplit(name, reader);
    case 'retire':
      return { kind: name, epoch: reader.u32(), sealed: zero(reader).u64() };
    case 'begin-import': {
      const epoch = reader.u32();
      const bytes = reader.u32();
      const sealed = reader.u64();
      return { kind: name, epoch, sealed, source: decodeDescriptor(reader.bytes(bytes)) };
    }
    case 'import':
      return readImport(reader, place);
    case 'end-import':
      return { kind: name, session: reader.u64(), entries: reader.u64(), floor: reader.u64() };
    case 'commit-merge':
      return { kind: name, epoch: reader.u32(), session: zero(reader).u64() };
    case 'sweep':
      return { kind: name, epoch: reader.u32(), limit: reader.u32() };
    case 'describe':
      return readDescribe(reader);
  }
}

function readDescribe(reader: CommandReader): ShardCommand {
  const epoch = reader.u32();
  const inlineThreshold = reader.u32();
  const ttlMs = reader.u64();
  const flags = settingsOfFlags(reader.u32());
  if (flags === undefined) throw corruptCommand('what its table is like is not known');
  return { kind: 'describe', epoch, settings: { inlineThreshold, ttlMs, ...flags } };
}

function readSplit(kind: 'prepare-split' | 'split', reader: CommandReader): ShardCommand {
  const epoch = reader.u32();
  const child = reader.u32();
  const how = reader.u8();
  reader.zero();
  const key = reader.bytes(reader.u16());
  if (child === 0 || (how !== AT_KEY && how !== BY_HASH) || (how === BY_HASH && key.length > 0))
    throw corruptCommand('where to split is not known');
  return { kind, epoch, child, at: how === AT_KEY ? { how: 'key', key: Uint8Array.from(key) } : { how: 'hash' } };
}

function readImport(reader: CommandReader, place: (ValuePlace & { readonly valueBytesMin: number }) | undefined): ShardCommand {
  const session = reader.u64();
  const requestCount = reader.u32();
  const entryCount = reader.u32();
  const requests: ImportedRequest[] = [];
  const entries: ImportedEntry[] = [];
  for (let i = 0; i < requestCount; i++) {
    const clientBytes = reader.u8();
    reader.zero();
    const resultBytes = reader.u16();
    zero(reader);
    const sequence = reader.u64();
    const index = reader.u64();
    requests.push({ sequence, index, client: reader.bytes(clientBytes), result: reader.bytes(resultBytes) });
  }
  for (let i = 0; i < entryCount; i++) {
    const keyBytes = reader.u16();
    if (reader.u16() !== 0) throw corruptCommand('a reserved field is not zero');
    const valueBytes = reader.u32();
    const expires = reader.u64();
    const key = reader.bytes(keyBytes);
    const at =
      place !== undefined && valueBytes >= place.valueBytesMin ? { segment: place.segment, offset: place.offset + reader.at } : undefined;
    entries.push({ key, value: reader.bytes(valueBytes), expiresAtMs: expires === 0 ? undefined : expires, at });
  }
  return { kind: 'import', session, requests, entries };
}

function zero(reader: CommandReader): CommandReader {
  if (reader.u32() !== 0) throw corruptCommand('a reserved field is not zero');
  return reader;
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUInt32LE(value % TWO_32, 0);
  bytes.writeUInt32LE(Math.floor(value / TWO_32), 4);
  return bytes;
}
