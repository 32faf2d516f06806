/**
 * What a shard is: which keys of which table, since which epoch, and what may be done with them. Pure.
 *
 * The truth is a record of the replicated state machine of the shard's group (server/node/state-machine.ts), changed by entries of its log only. What
 * the metaserver knows, and what clients keep, are copies: of two, the one of the larger epoch is newer. The epoch grows with each change of which
 * keys the shard has, by a split or a merge; who its members are is another matter (the group's configuration).
 *
 * Keys are the users', without the prefix that a replica's engine gives them. A table is divided by ranges of keys or by their hash:
 *
 *   range   start, included, to end, excluded; an end that is not there is behind all keys
 *   hash    keys whose hash (base/key-hash.ts) has `index` in its lower `bits` bits. A table's shards are a prefix-free cover of them: a split takes one
 *           bit more, and (bits, index) becomes (bits + 1, index) and (bits + 1, index + 2^bits). 0 bits: all keys.
 *
 * A descriptor as bytes, little-endian:
 *
 *   | format u8 = 1 | state u8 | keys u8 | flags u8 | shard u32 | table u32 | epoch u32 | ttl ms u64 | inline threshold u32 | body |
 *     state: 1 normal, 2 splitting, 3 sealed, 4 retired; flags: 1 dropped, 2 durability os
 *     range (1): | start bytes u16 | has end u8 | zero u8 | start | end |
 *     hash (2):  | bits u32 | index u32 |
 *
 * Every descriptor has one form. Format: docs/formats/command.md. Used by server/node, server/meta, server/gateway.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import { keyHash } from '../../base/key-hash.ts';

/** The shard that table `default` begins with; its replicas begin on the nodes that the cluster begins with. */
export const FIRST_SHARD = 1;
/** The group of the metaserver. Not a shard of any table that clients know. */
export const META_GROUP = 2;
/** Shards that are made later have ids from here on, each used once. */
export const MADE_SHARD_MIN = 16;
/** Table `default`. */
export const DEFAULT_TABLE = 1;
/** Of what the metaserver keeps. */
export const SYSTEM_TABLE = 0;

export interface RangeKeys {
  readonly kind: 'range';
  /** Empty: from the first key on. */
  readonly start: Uint8Array;
  /** Undefined: there is none. */
  readonly end: Uint8Array | undefined;
}

export interface HashKeys {
  readonly kind: 'hash';
  /** 0 to 32. */
  readonly bits: number;
  /** Below 2^bits. */
  readonly index: number;
}

export type ShardKeys = RangeKeys | HashKeys;

/**
 * normal     it has its keys, and nobody else does
 * splitting  the same; foreign keys may still be in its engine
 * sealed     it is read, and not written: its keys are on their way to another shard
 * retired    another shard has its keys
 */
export type ShardState = 'normal' | 'splitting' | 'sealed' | 'retired';

/** What of a table its shards are told. */
export interface ShardSettings {
  /** Entries of the table live so long when their put says nothing else, in milliseconds; 0: for ever. */
  readonly ttlMs: number;
  /** Values of at least so many bytes stay where the log has them; 0: what the node's settings say. */
  readonly inlineThreshold: number;
  /** A write is answered when a majority has it in its system's cache; a loss of power may take it. Left out: when a majority has it on disk. */
  readonly durability?: 'os' | undefined;
  /** Its table is dropped: it has its keys, and answers nobody until the table is had back. Left out otherwise. */
  readonly dropped?: true | undefined;
}

export interface ShardDescriptor extends ShardSettings {
  /** The id of its group. */
  readonly shard: number;
  readonly table: number;
  /** From 1 on. */
  readonly epoch: number;
  readonly keys: ShardKeys;
  readonly state: ShardState;
}

export const ALL_KEYS: RangeKeys = Object.freeze({ kind: 'range', start: new Uint8Array(0), end: undefined });

const STATES: readonly ShardState[] = ['normal', 'splitting', 'sealed', 'retired'];
const U32_MAX = 0xffffffff;
const KEY_BYTES_MAX = 0xffff;
const HASH_BITS_MAX = 32;

/** What a group is that nobody has divided or described yet: everything of its table. */
export function wholeTable(shard: number, table: number): ShardDescriptor {
  return { shard, table, epoch: 1, keys: ALL_KEYS, state: 'normal', ttlMs: 0, inlineThreshold: 0 };
}

/** Whether a user's key is one of the shard's. */
export function coversKey(keys: ShardKeys, key: Uint8Array): boolean {
  if (keys.kind === 'hash') return coversHash(keys, keyHash(key));
  return Buffer.compare(key, keys.start) >= 0 && (keys.end === undefined || Buffer.compare(key, keys.end) < 0);
}

/** Whether keys of this hash are the shard's. */
export function coversHash({ bits, index }: HashKeys, hash: number): boolean {
  return bits === 0 || (hash & maskOf(bits)) >>> 0 === index;
}

/** Of the bits of a hash that tell. */
export function maskOf(bits: number): number {
  return bits === HASH_BITS_MAX ? U32_MAX : 2 ** bits - 1;
}

/** Whether it is every key there is. */
export function coversAll(keys: ShardKeys): boolean {
  return keys.kind === 'hash' ? keys.bits === 0 : keys.start.length === 0 && keys.end === undefined;
}

/** Below 0 when `a` is an older description of the same shard, 0 when both are as new, above 0 otherwise. */
export function compareEpochs(a: ShardDescriptor, b: ShardDescriptor): number {
  assert(a.shard === b.shard, 'only descriptions of one shard are compared');
  return a.epoch - b.epoch;
}

export function sameKeys(a: ShardKeys, b: ShardKeys): boolean {
  if (a.kind === 'hash') return b.kind === 'hash' && a.bits === b.bits && a.index === b.index;
  if (b.kind === 'hash' || Buffer.compare(a.start, b.start) !== 0) return false;
  return a.end === undefined || b.end === undefined ? a.end === b.end : Buffer.compare(a.end, b.end) === 0;
}

export function sameSettings(a: ShardSettings, b: ShardSettings): boolean {
  return a.ttlMs === b.ttlMs && a.inlineThreshold === b.inlineThreshold && flagsOf(a) === flagsOf(b);
}

export function withSettings(descriptor: ShardDescriptor, { ttlMs, inlineThreshold, durability, dropped }: ShardSettings): ShardDescriptor {
  return { ...descriptor, ttlMs, inlineThreshold, durability, dropped };
}

/** Those settings that say yes or no, as they are encoded. */
export function flagsOf({ durability, dropped }: Pick<ShardSettings, 'durability' | 'dropped'>): number {
  return (dropped === true ? DROPPED : 0) | (durability === 'os' ? OS : 0);
}

/** Undefined: some of them are not known. */
export function settingsOfFlags(flags: number): Pick<ShardSettings, 'durability' | 'dropped'> | undefined {
  if ((flags & ~(DROPPED | OS)) !== 0) return undefined;
  return { ...((flags & OS) !== 0 && { durability: 'os' }), ...((flags & DROPPED) !== 0 && { dropped: true }) };
}

/** Of neighbours: ranges that meet, or the two halves of a hash shard, which differ in the highest bit of their index alone. Undefined: they are none. */
export function unionOf(a: ShardKeys, b: ShardKeys): ShardKeys | undefined {
  if (a.kind === 'hash') {
    if (b.kind !== 'hash' || a.bits !== b.bits || a.bits === 0) return undefined;
    const bits = a.bits - 1;
    return Math.abs(a.index - b.index) === 2 ** bits ? { kind: 'hash', bits, index: Math.min(a.index, b.index) } : undefined;
  }
  if (b.kind === 'hash') return undefined;
  if (a.end !== undefined && Buffer.compare(a.end, b.start) === 0) return { kind: 'range', start: a.start, end: b.end };
  if (b.end !== undefined && Buffer.compare(b.end, a.start) === 0) return { kind: 'range', start: b.start, end: a.end };
  return undefined;
}

/** Whether all keys of `b` are among those of `a`, which are of the same table. */
export function includes(a: ShardKeys, b: ShardKeys): boolean {
  if (coversAll(a)) return true;
  if (a.kind === 'hash') return b.kind === 'hash' && b.bits >= a.bits && coversHash(a, b.index);
  if (b.kind === 'hash' || Buffer.compare(a.start, b.start) > 0) return false;
  return a.end === undefined || (b.end !== undefined && Buffer.compare(b.end, a.end) <= 0);
}

/** Throws `invalid/SHARD_DESCRIPTOR` with the field that cannot be. */
export function checkDescriptor({ shard, table, epoch, keys, ttlMs, inlineThreshold }: ShardDescriptor): void {
  checkInteger('shard', shard, 1, U32_MAX);
  checkInteger('table', table, 0, U32_MAX);
  checkInteger('epoch', epoch, 1, U32_MAX);
  checkInteger('ttlMs', ttlMs, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('inlineThreshold', inlineThreshold, 0, U32_MAX);
  if (keys.kind === 'hash') {
    checkInteger('keys.bits', keys.bits, 0, HASH_BITS_MAX);
    checkInteger('keys.index', keys.index, 0, 2 ** keys.bits - 1);
    return;
  }
  checkInteger('keys.start (its bytes)', keys.start.length, 0, KEY_BYTES_MAX);
  if (keys.end === undefined) return;
  checkInteger('keys.end (its bytes)', keys.end.length, 1, KEY_BYTES_MAX);
  if (Buffer.compare(keys.start, keys.end) >= 0) throw invalid('keys.end', 'keys.end is not behind keys.start');
}

/** Throws `invalid/SHARD_DESCRIPTOR`. */
export function encodeDescriptor(descriptor: ShardDescriptor): Buffer {
  checkDescriptor(descriptor);
  const { shard, table, epoch, keys, state, ttlMs, inlineThreshold } = descriptor;
  const bytes = Buffer.alloc(HEAD_BYTES + (keys.kind === 'hash' ? 8 : 4 + keys.start.length + (keys.end?.length ?? 0)));
  bytes[0] = FORMAT;
  bytes[1] = STATES.indexOf(state) + 1;
  bytes[2] = keys.kind === 'range' ? RANGE : HASH;
  bytes[3] = flagsOf(descriptor);
  bytes.writeUInt32LE(shard, 4);
  bytes.writeUInt32LE(table, 8);
  bytes.writeUInt32LE(epoch, 12);
  bytes.writeBigUInt64LE(BigInt(ttlMs), 16);
  bytes.writeUInt32LE(inlineThreshold, 24);
  if (keys.kind === 'hash') {
    bytes.writeUInt32LE(keys.bits, HEAD_BYTES);
    bytes.writeUInt32LE(keys.index, HEAD_BYTES + 4);
    return bytes;
  }
  bytes.writeUInt16LE(keys.start.length, HEAD_BYTES);
  bytes[HEAD_BYTES + 2] = keys.end === undefined ? 0 : 1;
  bytes.set(keys.start, HEAD_BYTES + 4);
  if (keys.end !== undefined) bytes.set(keys.end, HEAD_BYTES + 4 + keys.start.length);
  return bytes;
}

/** Does not alias `source`. Throws `corrupt/CORRUPT_DESCRIPTOR`. */
export function decodeDescriptor(source: Uint8Array): ShardDescriptor {
  const bytes = Buffer.from(source);
  if (bytes.length < HEAD_BYTES + 4) throw corrupt('it is cut short');
  if (bytes[0] !== FORMAT) throw corrupt(`format ${bytes[0]} is not known`);
  const state = STATES[bytes[1]! - 1];
  const flags = settingsOfFlags(bytes[3]!);
  if (state === undefined || flags === undefined) throw corrupt('its state is not known');
  const ttlMs = Number(bytes.readBigUInt64LE(16));
  const descriptor: ShardDescriptor = {
    shard: bytes.readUInt32LE(4),
    table: bytes.readUInt32LE(8),
    epoch: bytes.readUInt32LE(12),
    keys: decodeKeys(bytes),
    state,
    ttlMs,
    inlineThreshold: bytes.readUInt32LE(24),
    ...flags,
  };
  try {
    checkDescriptor(descriptor);
  } catch (error) {
    throw corrupt(error instanceof Error ? error.message : String(error));
  }
  return descriptor;
}

const FORMAT = 1;
const DROPPED = 1;
const OS = 2;
const RANGE = 1;
const HASH = 2;
const HEAD_BYTES = 28;

function decodeKeys(bytes: Buffer): ShardKeys {
  if (bytes[2] === HASH) {
    if (bytes.length !== HEAD_BYTES + 8) throw corrupt('bytes are missing or left over');
    return { kind: 'hash', bits: bytes.readUInt32LE(HEAD_BYTES), index: bytes.readUInt32LE(HEAD_BYTES + 4) };
  }
  if (bytes[2] !== RANGE) throw corrupt('how it is divided is not known');
  const split = HEAD_BYTES + 4 + bytes.readUInt16LE(HEAD_BYTES);
  const hasEnd = bytes[HEAD_BYTES + 2]!;
  if (split > bytes.length || hasEnd > 1 || bytes[HEAD_BYTES + 3] !== 0 || (hasEnd === 0 && split !== bytes.length))
    throw corrupt('bytes are missing or left over');
  return {
    kind: 'range',
    start: Uint8Array.from(bytes.subarray(HEAD_BYTES + 4, split)),
    end: hasEnd === 1 ? Uint8Array.from(bytes.subarray(split)) : undefined,
  };
}

function checkInteger(field: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw invalid(field, `${field} is a whole number from ${min} to ${max}, not ${value}`);
}

function invalid(field: string, message: string): SparrowError {
  return new SparrowError('invalid', 'SHARD_DESCRIPTOR', `shard descriptor: ${message}`, { field });
}

function corrupt(what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_DESCRIPTOR', `shard descriptor: ${what}`);
}
