/**
 * The few messages of etcd's gRPC API (etcdserverpb, version 3) that are needed here, by their field numbers. Fields that are not named are not sent, and are
 * skipped when they come.
 *
 *   KV.Put              PutRequest     1 key bytes, 2 value bytes
 *                       PutResponse    1 header
 *   KV.Range            RangeRequest   1 key bytes                    one key, linearizable: what it does unless it is asked otherwise
 *                       RangeResponse  1 header, 2 kvs (repeated): KeyValue 5 value bytes
 *   Maintenance.Status  StatusRequest  nothing
 *                       StatusResponse 1 header, 4 leader u64
 *   header              ResponseHeader 2 member_id u64, 3 revision i64
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';

export const PUT_PATH = '/etcdserverpb.KV/Put';
export const RANGE_PATH = '/etcdserverpb.KV/Range';
export const STATUS_PATH = '/etcdserverpb.Maintenance/Status';

export interface Header {
  /** u64, in decimal. */
  memberId: string;
  revision: string;
}

export function encodePut(key: Uint8Array, value: Uint8Array): Uint8Array {
  return new BinaryWriter().uint32(tag(1)).bytes(key).uint32(tag(2)).bytes(value).finish();
}

export function encodeRange(key: Uint8Array): Uint8Array {
  return new BinaryWriter().uint32(tag(1)).bytes(key).finish();
}

export function decodePut(source: Uint8Array): Header {
  let header: Header | undefined;
  readFields(source, (field, reader) => (field === 1 ? ((header = readHeader(reader.bytes())), true) : false));
  return known(header);
}

/** The key's value; undefined when it is not there. */
export function decodeRange(source: Uint8Array): Uint8Array | undefined {
  let value: Uint8Array | undefined;
  readFields(source, (field, reader) => (field === 2 ? ((value = readKeyValue(reader.bytes())), true) : false));
  return value;
}

export interface Status {
  memberId: string;
  /** `0`: none. */
  leader: string;
}

export function decodeStatus(source: Uint8Array): Status {
  let header: Header | undefined;
  let leader = '0';
  readFields(source, (field, reader) => {
    if (field === 1) header = readHeader(reader.bytes());
    else if (field === 4) leader = String(reader.uint64());
    else return false;
    return true;
  });
  return { memberId: known(header).memberId, leader };
}

function readHeader(source: Uint8Array): Header {
  const header: Header = { memberId: '0', revision: '0' };
  readFields(source, (field, reader) => {
    if (field === 2) header.memberId = String(reader.uint64());
    else if (field === 3) header.revision = String(reader.int64());
    else return false;
    return true;
  });
  return header;
}

/** An empty value is left out of the message. */
function readKeyValue(source: Uint8Array): Uint8Array {
  let value: Uint8Array = new Uint8Array(0);
  readFields(source, (field, reader) => (field === 5 ? ((value = reader.bytes()), true) : false));
  return value;
}

/** `take` reads the field's value, or returns false to have it skipped. */
function readFields(source: Uint8Array, take: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(source);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (!take(field, reader)) reader.skip(wireType);
  }
}

/** Of a length-delimited field. */
function tag(field: number): number {
  return (field << 3) | 2;
}

function known(header: Header | undefined): Header {
  if (header === undefined) throw new Error('an answer of etcd came without its header');
  return header;
}
