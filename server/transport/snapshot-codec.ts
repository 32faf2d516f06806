/**
 * The messages of a stream that carries one snapshot. The receiver opens it, after it was offered one (message-codec.ts):
 *
 *   receiver   GREETING  FETCH          FROM                                    TAKEN or REFUSED
 *   sender     GREETING        HEAD           CHUNK ... FILE_END CHUNK ... FILE_END
 *
 *   message:   | check u64 | kind u8 | fields |           sealed (sealed.ts); a chunk's check is 0, the check of its file covers it
 *
 *   1  FETCH     | group varint | id: bytes, characters |
 *   2  HEAD      | group | term | index | term at index | configuration: bytes | id | count | name: bytes, its bytes varint ... |
 *   3  FROM      | file varint | offset varint |                      the receiver has all before this place
 *   4  CHUNK     | zero u24 | file u32 | offset u64 | data |          24 bytes of header; they follow one another without gaps
 *   5  FILE_END  | file varint | check u64 |                          XXH64 of the whole file, seed 0
 *   6  TAKEN     -                                                    it is whole, durable and taken over
 *   7  REFUSED   | status varint | kind | code | message | details |  an error as base/rpc-status.ts has it
 *
 * Format: docs/formats/raft-wire.md. Pure. Used by incoming-snapshot.ts and grpc/.
 */
import type { RpcFailure } from '../../base/rpc-status.ts';
import { encodeConfiguration } from '../raft/index.ts';
import { readConfiguration } from './message-codec.ts';
import { openSealed, seal, SEAL_BYTES } from './sealed.ts';
import { checkFileName, checkId } from './snapshot-names.ts';
import type { Hash64, SnapshotFile, SnapshotHead, SnapshotPosition } from './transport.ts';
import { type ByteReader, ByteWriter, peerFormat } from './wire-bytes.ts';

const FETCH = 1;
const HEAD = 2;
const FROM = 3;
const CHUNK = 4;
const FILE_END = 5;
const TAKEN = 6;
const REFUSED = 7;

export const CHUNK_HEADER_BYTES = 24;
/** Fewest bytes of a file in a head. */
const FILE_BYTES_MIN = 3;

export type SnapshotMessage =
  | { readonly kind: 'fetch'; readonly group: number; readonly id: string }
  | { readonly kind: 'head'; readonly head: SnapshotHead }
  | { readonly kind: 'from'; readonly position: SnapshotPosition }
  | { readonly kind: 'chunk'; readonly position: SnapshotPosition; readonly data: Buffer }
  | { readonly kind: 'file-end'; readonly file: number; readonly check: bigint }
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused'; readonly failure: RpcFailure };

/** All but chunks. */
export function encodeSnapshotMessage(message: Exclude<SnapshotMessage, { kind: 'chunk' }>, hash: Hash64): Buffer {
  const writer = new ByteWriter(256);
  writer.at = SEAL_BYTES;
  switch (message.kind) {
    case 'fetch':
      writer.u8(FETCH);
      writer.varint(message.group);
      writer.text(checkId(message.id));
      break;
    case 'head':
      writer.u8(HEAD);
      writeHead(writer, message.head);
      break;
    case 'from':
      writer.u8(FROM);
      writer.varint(message.position.file);
      writer.varint(message.position.offset);
      break;
    case 'file-end':
      writer.u8(FILE_END);
      writer.varint(message.file);
      writer.u64(message.check);
      break;
    case 'taken':
      writer.u8(TAKEN);
      break;
    case 'refused': {
      const { status, kind, code, message: text, details } = message.failure;
      writer.u8(REFUSED);
      writer.varint(status);
      for (const part of [kind, code, text, details]) writer.text(part);
    }
  }
  return seal(writer, hash);
}

/** A chunk with room for `bytes` of data, which go behind CHUNK_HEADER_BYTES. */
export function beginChunk({ file, offset }: SnapshotPosition, bytes: number): Buffer {
  const chunk = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + bytes);
  chunk.fill(0, 0, CHUNK_HEADER_BYTES);
  chunk[SEAL_BYTES] = CHUNK;
  chunk.writeUInt32LE(file, 12);
  chunk.writeBigUInt64LE(BigInt(offset), 16);
  return chunk;
}

/** `data` of a chunk aliases `bytes`. Throws `invalid/PEER_FORMAT`, `invalid/SNAPSHOT_NAME` and `corrupt/PEER_CHECK`. */
export function decodeSnapshotMessage(bytes: Buffer, hash: Hash64): SnapshotMessage {
  if (bytes[SEAL_BYTES] === CHUNK) return decodeChunk(bytes);
  const reader = openSealed(bytes, hash);
  const message = readMessage(reader);
  reader.end();
  return message;
}

function decodeChunk(bytes: Buffer): SnapshotMessage {
  if (bytes.length <= CHUNK_HEADER_BYTES) throw peerFormat('a chunk without data');
  const offset = Number(bytes.readBigUInt64LE(16));
  if (bytes.readBigUInt64LE(0) !== 0n || bytes.readUInt32LE(8) !== CHUNK || !Number.isSafeInteger(offset)) {
    throw peerFormat('the header of a chunk makes no sense');
  }
  return { kind: 'chunk', position: { file: bytes.readUInt32LE(12), offset }, data: bytes.subarray(CHUNK_HEADER_BYTES) };
}

function readMessage(reader: ByteReader): SnapshotMessage {
  const kind = reader.u8();
  switch (kind) {
    case FETCH:
      return { kind: 'fetch', group: readGroup(reader), id: checkId(reader.text()) };
    case HEAD:
      return { kind: 'head', head: readHead(reader) };
    case FROM:
      return { kind: 'from', position: { file: reader.varint(), offset: reader.varint() } };
    case FILE_END:
      return { kind: 'file-end', file: reader.varint(), check: reader.u64() };
    case TAKEN:
      return { kind: 'taken' };
    case REFUSED: {
      const status = reader.varint();
      const [errorKind, code, message, details] = [reader.text(), reader.text(), reader.text(), reader.text()];
      return { kind: 'refused', failure: { status, kind: errorKind, code, message, details } };
    }
    default:
      throw peerFormat(`a snapshot message of unknown kind ${kind}`);
  }
}

function writeHead(writer: ByteWriter, { group, term, snapshot, id, files }: SnapshotHead): void {
  for (const number of [group, term, snapshot.index, snapshot.term]) writer.varint(number);
  writer.bytes(encodeConfiguration(snapshot.configuration));
  writer.text(checkId(id));
  writer.varint(files.length);
  for (const { name, bytes } of files) {
    writer.text(checkFileName(name));
    writer.varint(bytes);
  }
}

function readHead(reader: ByteReader): SnapshotHead {
  const group = readGroup(reader);
  const term = reader.varint();
  const snapshot = { index: reader.varint(), term: reader.varint(), configuration: readConfiguration(reader) };
  const id = checkId(reader.text());
  const count = reader.count(FILE_BYTES_MIN);
  const files: SnapshotFile[] = [];
  for (let i = 0; i < count; i++) files.push({ name: checkFileName(reader.text()), bytes: reader.varint() });
  if (new Set(files.map(({ name }) => name)).size !== count) throw peerFormat('a snapshot names a file twice');
  return { group, term, snapshot, id, files };
}

function readGroup(reader: ByteReader): number {
  const group = reader.varint();
  if (group < 1 || group > 0xffffffff) throw peerFormat(`${group} is no group`);
  return group;
}
