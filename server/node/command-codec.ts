/**
 * Commands: what an entry of the Raft log tells the state machine to do. Little-endian; u64 up to 2^53 - 1.
 *
 *   | format u8 = 1 | kind u8 | client bytes u8 | flags u8 | epoch u32, if flags has 1 | now u64, if flags has 2 | request id, if client bytes > 0 | body |
 *
 *   epoch:       of the shard, as whoever sent the command knew it; without it: whatever the shard is by then (server/shard/descriptor.ts)
 *   now:         what time it was where it was proposed, ms since the epoch (group-time.ts); without it: whatever the group has by then
 *   request id:  | sequence u64 | seen u64 | client ... |
 *   WRITE (1):   | conditions u32 | operations u32 | condition ... | operation ... |
 *     condition: | kind u8 | zero u8 | key bytes u16 | value bytes u32 | version u64 | key | value |     kinds: absent 1, value 2, version 3
 *     operation: | kind u8 | zero u8 | key bytes u16 | value bytes u32 | key | value |                   kinds: put 1, delete 2
 *                | kind u8 | zero u8 | key bytes u16 | value bytes u32 | expires u64 | key | value |     kind: put that expires 3
 *   DELETE_RANGE (2):  | limit u32 | start bytes u16 | end bytes u16 | start | end |     from start, included, to end, excluded
 *   NODE (3):    | node u32 | address bytes u16 | peer address bytes u16 | address | peer address |        UTF-8; both empty: the node is forgotten
 *   BEGUN (4):   | node u32 |                                                                             it has data from now on
 *   REMOVED (5): | node u32 |                                                                             it has left the cluster for good
 *   from 16 on:  what changes the keys of the shard (shard-commands.ts)
 *
 * Keys are the engine's (keys.ts): a user's key stands here with its prefix byte already, so that applying copies nothing.
 * An entry without data is the one with which a leader begins its term; it does nothing.
 * Format: docs/formats/command.md. Encoded at the gateway, decoded by state-machine.ts.
 */
import type { ValuePlace } from '../../engine/index.ts';
import type { NodeAddress } from './address-book.ts';
import { CommandReader, corruptCommand } from './command-reader.ts';
import { USER_PREFIX } from './keys.ts';
import { readShardCommand, type ShardCommand } from './shard-commands.ts';

export interface CommandRequestId {
  client: Uint8Array;
  sequence: number;
  seen: number;
}

export type CommandCondition =
  | { kind: 'absent'; key: Uint8Array }
  | { kind: 'value'; key: Uint8Array; value: Uint8Array }
  | { kind: 'version'; key: Uint8Array; version: number };

/** `at`: where the value of a command that is decoded lies on the disk, if it is a large one. */
export type CommandOperation =
  | { type: 'put'; key: Uint8Array; value: Uint8Array; expiresAtMs?: number; at?: ValuePlace | undefined }
  | { type: 'delete'; key: Uint8Array };

/** Where a command lies on the disk, and from which size on its values are told where they do. */
export interface CommandPlace extends ValuePlace {
  readonly valueBytesMin: number;
}

/** `epoch`: 0 for a command that is for any. `nowMs`: 0 where it does not say. */
export type Command =
  | (CommandHead & { kind: 'write'; conditions: CommandCondition[]; operations: CommandOperation[] })
  | (CommandHead & { kind: 'delete-range'; start: Uint8Array; end: Uint8Array; limit: number })
  | { kind: 'node'; epoch: number; id: CommandRequestId | undefined; node: number; known: NodeAddress }
  | { kind: 'begun'; epoch: number; id: CommandRequestId | undefined; node: number }
  | { kind: 'removed'; epoch: number; id: CommandRequestId | undefined; node: number }
  | { kind: 'shard'; change: ShardCommand };

interface CommandHead {
  epoch: number;
  nowMs: number;
  id: CommandRequestId | undefined;
}

export const CLIENT_BYTES_MAX = 32;

const FORMAT = 1;
const FLAG_EPOCH = 1;
const FLAG_NOW = 2;
const KIND_WRITE = 1;
const KIND_DELETE_RANGE = 2;
const KIND_NODE = 3;
const KIND_BEGUN = 4;
const KIND_REMOVED = 5;
const ABSENT = 1;
const VALUE = 2;
const VERSION = 3;
const PUT = 1;
const DELETE = 2;
const PUT_EXPIRING = 3;
const TWO_32: number = 2 ** 32;
const NONE = new Uint8Array(0);

/** Encodes a write of user keys, for a shard of `epoch`, or, 0, of any, at `nowMs`, or, 0, without a time: the prefix byte is added here. Lengths were checked at the edge. */
export function encodeWrite(
  id: CommandRequestId | undefined,
  conditions: readonly CommandCondition[],
  operations: readonly CommandOperation[],
  epoch = 0,
  nowMs = 0,
): Buffer {
  let bytes = headBytes(id, epoch, nowMs) + 8;
  for (const condition of conditions) bytes += 17 + condition.key.length + (condition.kind === 'value' ? condition.value.length : 0);
  for (const operation of operations) {
    bytes += 9 + operation.key.length;
    if (operation.type === 'put') bytes += operation.value.length + (operation.expiresAtMs === undefined ? 0 : 8);
  }
  const target = Buffer.allocUnsafe(bytes);
  let at = writeHead(target, KIND_WRITE, id, epoch, nowMs);
  target.writeUInt32LE(conditions.length, at);
  target.writeUInt32LE(operations.length, at + 4);
  at += 8;
  for (const condition of conditions) {
    const value = condition.kind === 'value' ? condition.value : NONE;
    writeItemHead(target, at, condition.kind === 'absent' ? ABSENT : condition.kind === 'value' ? VALUE : VERSION, condition.key, value);
    writeU64(target, at + 8, condition.kind === 'version' ? condition.version : 0);
    at = writeUserItem(target, at + 16, condition.key, value);
  }
  for (const operation of operations) {
    const value = operation.type === 'put' ? operation.value : NONE;
    const expiresAtMs = operation.type === 'put' ? operation.expiresAtMs : undefined;
    const kind = operation.type === 'delete' ? DELETE : expiresAtMs === undefined ? PUT : PUT_EXPIRING;
    writeItemHead(target, at, kind, operation.key, value);
    at += 8;
    if (expiresAtMs !== undefined) {
      writeU64(target, at, expiresAtMs);
      at += 8;
    }
    at = writeUserItem(target, at, operation.key, value);
  }
  return target;
}

/** Encodes a range delete; `start` and `end` are the engine's keys. */
export function encodeDeleteRange(
  id: CommandRequestId | undefined,
  start: Uint8Array,
  end: Uint8Array,
  limit: number,
  epoch = 0,
  nowMs = 0,
): Buffer {
  const target = Buffer.allocUnsafe(headBytes(id, epoch, nowMs) + 8 + start.length + end.length);
  const at = writeHead(target, KIND_DELETE_RANGE, id, epoch, nowMs);
  target.writeUInt32LE(limit, at);
  target.writeUInt16LE(start.length, at + 4);
  target.writeUInt16LE(end.length, at + 6);
  target.set(start, at + 8);
  target.set(end, at + 8 + start.length);
  return target;
}

/** Encodes where a node is (address-book.ts). */
export function encodeNode(node: number, { address, peerAddress }: NodeAddress): Buffer {
  const [first, second] = [Buffer.from(address, 'utf8'), Buffer.from(peerAddress, 'utf8')];
  const head = Buffer.alloc(headBytes(undefined, 0) + 8);
  const at = writeHead(head, KIND_NODE, undefined, 0);
  head.writeUInt32LE(node, at);
  head.writeUInt16LE(first.length, at + 4);
  head.writeUInt16LE(second.length, at + 6);
  return Buffer.concat([head, first, second]);
}

/** Encodes that a node has data. */
export function encodeBegun(node: number): Buffer {
  return encodeNodeId(KIND_BEGUN, node);
}

/** Encodes that a node was removed from the cluster. */
export function encodeRemoved(node: number): Buffer {
  return encodeNodeId(KIND_REMOVED, node);
}

function encodeNodeId(kind: number, node: number): Buffer {
  const target = Buffer.alloc(headBytes(undefined, 0) + 4);
  target.writeUInt32LE(node, writeHead(target, kind, undefined, 0));
  return target;
}

/** What a command is, at a glance. */
export interface CommandPeek {
  readonly epoch: number;
  readonly id: CommandRequestId | undefined;
  /** A write without conditions. */
  readonly plainWrite: boolean;
  /** It may change what the shard is. */
  readonly changesShard: boolean;
}

/** Of a command that was encoded here. `id` aliases `source`. */
export function peekCommand(source: Uint8Array): CommandPeek {
  // The entry with which a leader begins its term, or a change of the members.
  if (source.length === 0) return { epoch: 0, id: undefined, plainWrite: false, changesShard: false };
  const reader = new CommandReader(source);
  const { kind, epoch, id } = readHead(reader);
  return { epoch, id, plainWrite: kind === KIND_WRITE && reader.u32() === 0, changesShard: kind > KIND_REMOVED };
}

/** Reads a command. Its bytes alias `source`, which lies at `place`. Throws `corrupt/CORRUPT_COMMAND`: its checksum held, so no replica can apply it. */
export function decodeCommand(source: Uint8Array, place?: CommandPlace): Command {
  const reader = new CommandReader(source);
  const head = readHead(reader);
  const command = readBody(head.kind, reader, head, place);
  if (command === undefined) throw corruptCommand(`kind ${head.kind} is not known`);
  reader.finish();
  return command;
}

function readHead(reader: CommandReader): CommandHead & { kind: number } {
  const format = reader.u8();
  if (format !== FORMAT) throw corruptCommand(`format ${format} is not known`);
  const kind = reader.u8();
  const clientBytes = reader.u8();
  const flags = reader.u8();
  if ((flags & ~(FLAG_EPOCH | FLAG_NOW)) !== 0) throw corruptCommand(`flags ${flags} are not known`);
  const hasEpoch = (flags & FLAG_EPOCH) !== 0;
  const hasNow = (flags & FLAG_NOW) !== 0;
  const epoch = hasEpoch ? reader.u32() : 0;
  const nowMs = hasNow ? reader.u64() : 0;
  if ((hasEpoch && epoch === 0) || (hasNow && nowMs === 0)) throw corruptCommand('an epoch and a time count from 1');
  let id: CommandRequestId | undefined;
  if (clientBytes > 0) {
    const sequence = reader.u64();
    const seen = reader.u64();
    id = { sequence, seen, client: reader.bytes(clientBytes) };
  }
  return { kind, epoch, nowMs, id };
}

function readBody(kind: number, reader: CommandReader, head: CommandHead, place: CommandPlace | undefined): Command | undefined {
  if (kind === KIND_WRITE) return readWrite(reader, head, place);
  if (kind === KIND_DELETE_RANGE) return readDeleteRange(reader, head);
  const { epoch, id } = head;
  if (kind === KIND_NODE) return readNode(reader, epoch, id);
  if (kind === KIND_BEGUN) return { kind: 'begun', epoch, id, node: readNodeId(reader) };
  if (kind === KIND_REMOVED) return { kind: 'removed', epoch, id, node: readNodeId(reader) };
  const change = readShardCommand(kind, reader, place);
  if (change !== undefined && (epoch !== 0 || id !== undefined))
    throw corruptCommand('what changes a shard has neither epoch nor request id in its head');
  return change && { kind: 'shard', change };
}

function readWrite(reader: CommandReader, head: CommandHead, place: CommandPlace | undefined): Command {
  const conditionCount = reader.u32();
  const operationCount = reader.u32();
  const conditions: CommandCondition[] = [];
  const operations: CommandOperation[] = [];
  for (let i = 0; i < conditionCount; i++) {
    const kind = reader.u8();
    reader.zero();
    const keyBytes = reader.u16();
    const valueBytes = reader.u32();
    const version = reader.u64();
    const key = reader.bytes(keyBytes);
    const value = reader.bytes(valueBytes);
    if (kind === ABSENT) conditions.push({ kind: 'absent', key });
    else if (kind === VALUE) conditions.push({ kind: 'value', key, value });
    else if (kind === VERSION) conditions.push({ kind: 'version', key, version });
    else throw corruptCommand(`a condition of kind ${kind} is not known`);
  }
  for (let i = 0; i < operationCount; i++) {
    const kind = reader.u8();
    reader.zero();
    const keyBytes = reader.u16();
    const valueBytes = reader.u32();
    const expiresAtMs = kind === PUT_EXPIRING ? reader.u64() : 0;
    const key = reader.bytes(keyBytes);
    const at =
      place !== undefined && valueBytes >= place.valueBytesMin ? { segment: place.segment, offset: place.offset + reader.at } : undefined;
    const value = reader.bytes(valueBytes);
    // The engine looks at each field that is there.
    if (kind === PUT_EXPIRING) {
      if (expiresAtMs === 0) throw corruptCommand('what expires says when');
      operations.push({ type: 'put', key, value, expiresAtMs, ...(at !== undefined && { at }) });
    } else if (kind === PUT) operations.push(at === undefined ? { type: 'put', key, value } : { type: 'put', key, value, at });
    else if (kind === DELETE) operations.push({ type: 'delete', key });
    else throw corruptCommand(`an operation of kind ${kind} is not known`);
  }
  const { epoch, nowMs, id } = head;
  return { kind: 'write', epoch, nowMs, id, conditions, operations };
}

function readDeleteRange(reader: CommandReader, head: CommandHead): Command {
  const limit = reader.u32();
  const startBytes = reader.u16();
  const endBytes = reader.u16();
  const { epoch, nowMs, id } = head;
  return { kind: 'delete-range', epoch, nowMs, id, limit, start: reader.bytes(startBytes), end: reader.bytes(endBytes) };
}

function readNodeId(reader: CommandReader): number {
  const node = reader.u32();
  if (node === 0) throw corruptCommand('a node has no id');
  return node;
}

function readNode(reader: CommandReader, epoch: number, id: CommandRequestId | undefined): Command {
  const node = readNodeId(reader);
  const addressBytes = reader.u16();
  const peerBytes = reader.u16();
  const [address, peerAddress] = [addressBytes, peerBytes].map((bytes) => Buffer.from(reader.bytes(bytes)).toString('utf8'));
  return { kind: 'node', epoch, id, node, known: { address: address!, peerAddress: peerAddress! } };
}

function headBytes(id: CommandRequestId | undefined, epoch: number, nowMs = 0): number {
  return (epoch === 0 ? 4 : 8) + (nowMs === 0 ? 0 : 8) + (id === undefined ? 0 : 16 + id.client.length);
}

function writeHead(target: Buffer, kind: number, id: CommandRequestId | undefined, epoch: number, nowMs = 0): number {
  target.writeUInt32LE(FORMAT | (kind << 8) | ((id?.client.length ?? 0) << 16), 0);
  let at = 4;
  if (epoch !== 0) {
    target[3] = FLAG_EPOCH;
    at = target.writeUInt32LE(epoch, at);
  }
  if (nowMs !== 0) {
    target[3]! |= FLAG_NOW;
    writeU64(target, at, nowMs);
    at += 8;
  }
  if (id === undefined) return at;
  writeU64(target, at, id.sequence);
  writeU64(target, at + 8, id.seen);
  target.set(id.client, at + 16);
  return at + 16 + id.client.length;
}

function writeItemHead(target: Buffer, at: number, kind: number, key: Uint8Array, value: Uint8Array): void {
  target.writeUInt16LE(kind, at);
  target.writeUInt16LE(key.length + 1, at + 2);
  target.writeUInt32LE(value.length, at + 4);
}

function writeUserItem(target: Buffer, at: number, key: Uint8Array, value: Uint8Array): number {
  target[at] = USER_PREFIX;
  target.set(key, at + 1);
  target.set(value, at + 1 + key.length);
  return at + 1 + key.length + value.length;
}

function writeU64(target: Buffer, offset: number, value: number): void {
  target.writeUInt32LE(value % TWO_32, offset);
  target.writeUInt32LE(Math.floor(value / TWO_32), offset + 4);
}
