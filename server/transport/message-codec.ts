/**
 * Messages of groups, packed: what one node has for another in one turn of the event loop.
 *
 *   packet:   | check u64 | record | record ... |                                    sealed (sealed.ts), no gaps
 *   record:   | type u8 | group varint | term varint | fields |                      all numbers are varints
 *
 *   1  vote-request       | flags u8: 1 pre, 2 force   | last index | last term | commit | commit term |
 *   2  vote-response      | flags u8: 1 pre, 2 granted | commit | commit term |
 *   3  append-request     | previous index | previous term | commit | count | entry ... |
 *   4  append-response    | flags u8: 1 accepted | index | hint index | hint term |
 *   5  heartbeat-requests, 6 heartbeat-responses: a run, see below
 *   7  snapshot-request   | index | term | bytes, configuration |                    server/raft/configuration-codec.ts
 *   8  timeout-now        -
 *   10 read-request       | read |
 *   11 read-response      | read | index |
 *   12 entries-request    | anchor index | anchor term | first | last |              repair-messages.ts
 *   13 entries-response   | anchor index | anchor term | previous index | previous term | count | entry ... |
 *   14 snapshot-wanted    | index |
 *   15 barrier-wanted     | question |
 *   16 barrier            | question | index |
 *   17 append-received    | index |
 *   9  snapshot-offer     | id: bytes, characters |                                  there is a snapshot to be fetched (grpc/snapshot-server.ts)
 *
 *   entry:    | flags u8: 1 changes the configuration, 2 withheld | term - term of the entry before | bytes, data |
 *             | bytes, change |  where flag 1    | withheld bytes |  where flag 2
 *   its index is the one after the entry before; the first one's is previous index + 1
 *
 *   run:      | type u8 | count u32 | heartbeat ... |      heartbeats that follow one another: those of all groups that have nothing else to say
 *             | 2 * zigzag(group - group before) + sleep | term | commit | round |        a request, 8 to 12 bytes mostly
 *             | zigzag(group - group before) | term | round |                             a response
 *
 * `from` and `to` are the ends of the stream. Order is kept. Entry data is copied once, into the packet; what `readPacket` returns aliases the
 * packet, except data of an append that is less than a quarter of it: holding an entry never holds more than four times the data that came with it.
 * Format: docs/formats/raft-wire.md. Pure. Used by outbox.ts and grpc/.
 */
import { assert } from '../../base/assert.ts';
import { MessageMemory } from '../../base/message-memory.ts';
import { writeVarint } from '../../base/varint.ts';
import {
  type AppendRequest,
  type Configuration,
  type ConfigurationChange,
  decodeConfiguration,
  decodeConfigurationChange,
  encodeConfiguration,
  encodeConfigurationChange,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type LogEntry,
} from '../raft/index.ts';
import { openSealed, seal, SEAL_BYTES } from './sealed.ts';
import { checkId } from './snapshot-names.ts';
import type { GroupMessage, Hash64, PeerMessage } from './transport.ts';
import { type ByteReader, ByteWriter, peerFormat } from './wire-bytes.ts';

const VOTE_REQUEST = 1;
const VOTE_RESPONSE = 2;
const APPEND_REQUEST = 3;
const APPEND_RESPONSE = 4;
const HEARTBEAT_REQUESTS = 5;
const HEARTBEAT_RESPONSES = 6;
const SNAPSHOT_REQUEST = 7;
const TIMEOUT_NOW = 8;
const SNAPSHOT_OFFER = 9;
const READ_REQUEST = 10;
const READ_RESPONSE = 11;
const ENTRIES_REQUEST = 12;
const ENTRIES_RESPONSE = 13;
const SNAPSHOT_WANTED = 14;
const BARRIER_WANTED = 15;
const BARRIER = 16;
const APPEND_RECEIVED = 17;

const ENTRY_CHANGE = 1;
const ENTRY_WITHHELD = 2;

/** Fewest bytes of an entry, of a heartbeat and of its response. */
const ENTRY_BYTES_MIN = 3;
const HEARTBEAT_BYTES_MIN = 4;
const RESPONSE_BYTES_MIN = 3;
/** Most bytes of a heartbeat: four varints. */
const HEARTBEAT_BYTES_MAX = 32;

const GROUP_MAX = 0xffffffff;
/** Of a packet that nobody said the size of. */
const FIRST_BYTES = 64;
const NO_DATA: Uint8Array = new Uint8Array(0);

/** Puts packets together. `take` hands one over. */
export class PacketWriter {
  readonly #hash: Hash64;
  readonly #from: number;
  readonly #to: number;
  readonly #memory: MessageMemory;
  #writer: ByteWriter;
  #messages = 0;
  /** The run of heartbeats that is open: its type (0: none), where its count goes, how many it has, and the last one's group. */
  #run = 0;
  #runAt = 0;
  #runCount = 0;
  #runGroup = 0;

  /** `memory`: packets lie in it; whoever gives them back to it makes room for later ones. */
  constructor(from: number, to: number, hash: Hash64, memory: MessageMemory = new MessageMemory(0)) {
    this.#from = from;
    this.#to = to;
    this.#hash = hash;
    this.#memory = memory;
    this.#writer = this.#fresh();
  }

  /** Makes room for messages of so many bytes together: one allocation instead of several. */
  expect(bytes: number): void {
    this.#writer.reserve(bytes);
  }

  /** Of the packet so far. */
  get bytes(): number {
    return this.#writer.at;
  }

  get messages(): number {
    return this.#messages;
  }

  add(group: number, message: PeerMessage): void {
    assert(message.from === this.#from && message.to === this.#to, 'a message goes from this node to that one: members are nodes');
    assert(group > 0 && group <= GROUP_MAX, 'a group has an id of 32 bits');
    this.#messages++;
    if (message.type === 'heartbeat-request') return this.#heartbeat(group, message);
    if (message.type === 'heartbeat-response') return this.#heartbeatResponse(group, message);
    this.#endRun();
    writeMessage(this.#writer, group, message);
  }

  /** Word of a snapshot that the other side may fetch. */
  offer(group: number, id: string): void {
    this.#endRun();
    this.#writer.u8(SNAPSHOT_OFFER);
    this.#writer.varint(group);
    this.#writer.text(id);
    this.#messages++;
  }

  take(): Buffer {
    this.#endRun();
    const packet = seal(this.#writer, this.#hash);
    this.#messages = 0;
    this.#writer = this.#fresh();
    return packet;
  }

  #heartbeat(group: number, { term, commit, round, sleep }: HeartbeatRequest): void {
    const step = this.#inRun(HEARTBEAT_REQUESTS, group);
    const writer = this.#writer;
    const { buffer } = writer;
    let at = writeVarint(buffer, writer.at, step * 2 + (sleep ? 1 : 0));
    at = writeVarint(buffer, at, term);
    at = writeVarint(buffer, at, commit);
    writer.at = writeVarint(buffer, at, round);
  }

  #heartbeatResponse(group: number, { term, round }: HeartbeatResponse): void {
    const step = this.#inRun(HEARTBEAT_RESPONSES, group);
    const writer = this.#writer;
    const { buffer } = writer;
    let at = writeVarint(buffer, writer.at, step);
    at = writeVarint(buffer, at, term);
    writer.at = writeVarint(buffer, at, round);
  }

  /** Counts one more in a run of this type, begun if need be, and makes room for it. Returns the zigzag of the step to its group. */
  #inRun(type: number, group: number): number {
    if (this.#run !== type) {
      this.#endRun();
      this.#run = type;
      this.#writer.u8(type);
      this.#runAt = this.#writer.at;
      this.#writer.u32(0);
      this.#runGroup = 0;
      this.#runCount = 0;
    }
    this.#writer.reserve(HEARTBEAT_BYTES_MAX);
    this.#runCount++;
    const step = group - this.#runGroup;
    this.#runGroup = group;
    return step >= 0 ? step * 2 : -step * 2 - 1;
  }

  #endRun(): void {
    if (this.#run === 0) return;
    this.#writer.buffer.writeUInt32LE(this.#runCount, this.#runAt);
    this.#run = 0;
  }

  #fresh(): ByteWriter {
    const writer = new ByteWriter(FIRST_BYTES, (bytes) => this.#memory.take(bytes));
    writer.at = SEAL_BYTES;
    return writer;
  }
}

function writeMessage(writer: ByteWriter, group: number, message: Exclude<PeerMessage, HeartbeatRequest | HeartbeatResponse>): void {
  switch (message.type) {
    case 'vote-request':
      begin(writer, VOTE_REQUEST, group, message.term);
      writer.u8((message.pre ? 1 : 0) + (message.force ? 2 : 0));
      writer.varint(message.lastIndex);
      writer.varint(message.lastTerm);
      writer.varint(message.commit);
      return writer.varint(message.commitTerm);
    case 'vote-response':
      begin(writer, VOTE_RESPONSE, group, message.term);
      writer.u8((message.pre ? 1 : 0) + (message.granted ? 2 : 0));
      writer.varint(message.commit);
      return writer.varint(message.commitTerm);
    case 'append-request':
      begin(writer, APPEND_REQUEST, group, message.term);
      return writeAppend(writer, message);
    case 'append-response':
      begin(writer, APPEND_RESPONSE, group, message.term);
      writer.u8(message.accepted ? 1 : 0);
      writer.varint(message.index);
      writer.varint(message.hintIndex);
      return writer.varint(message.hintTerm);
    case 'snapshot-request':
      begin(writer, SNAPSHOT_REQUEST, group, message.term);
      writer.varint(message.snapshot.index);
      writer.varint(message.snapshot.term);
      return writer.bytes(encodeConfiguration(message.snapshot.configuration));
    case 'timeout-now':
      return begin(writer, TIMEOUT_NOW, group, message.term);
    case 'read-request':
      begin(writer, READ_REQUEST, group, message.term);
      return writer.varint(message.read);
    case 'read-response':
      begin(writer, READ_RESPONSE, group, message.term);
      writer.varint(message.read);
      return writer.varint(message.index);
    case 'entries-request':
      begin(writer, ENTRIES_REQUEST, group, message.term);
      writer.varint(message.anchorIndex);
      writer.varint(message.anchorTerm);
      writer.varint(message.first);
      return writer.varint(message.last);
    case 'entries-response':
      begin(writer, ENTRIES_RESPONSE, group, message.term);
      writer.varint(message.anchorIndex);
      writer.varint(message.anchorTerm);
      writer.varint(message.previousIndex);
      writer.varint(message.previousTerm);
      return writeEntries(writer, message);
    case 'snapshot-wanted':
      begin(writer, SNAPSHOT_WANTED, group, message.term);
      return writer.varint(message.index);
    case 'barrier-wanted':
      begin(writer, BARRIER_WANTED, group, message.term);
      return writer.varint(message.question);
    case 'barrier':
      begin(writer, BARRIER, group, message.term);
      writer.varint(message.question);
      return writer.varint(message.index);
    case 'append-received':
      begin(writer, APPEND_RECEIVED, group, message.term);
      return writer.varint(message.index);
  }
}

function begin(writer: ByteWriter, type: number, group: number, term: number): void {
  writer.u8(type);
  writer.varint(group);
  writer.varint(term);
}

function writeAppend(writer: ByteWriter, append: AppendRequest): void {
  writer.varint(append.previousIndex);
  writer.varint(append.previousTerm);
  writer.varint(append.commit);
  writeEntries(writer, append);
}

type Entries = Pick<AppendRequest, 'previousIndex' | 'previousTerm' | 'entries'>;

function writeEntries(writer: ByteWriter, { previousIndex, previousTerm, entries }: Entries): void {
  writer.varint(entries.length);
  let index = previousIndex;
  let term = previousTerm;
  for (const entry of entries) {
    assert(entry.index === ++index && entry.term >= term, 'entries have no gaps, and terms never fall');
    writer.u8((entry.change === undefined ? 0 : ENTRY_CHANGE) + (entry.withheldBytes === undefined ? 0 : ENTRY_WITHHELD));
    writer.varint(entry.term - term);
    writer.bytes(entry.data);
    if (entry.change !== undefined) writer.bytes(encodeConfigurationChange(entry.change));
    if (entry.withheldBytes !== undefined) writer.varint(entry.withheldBytes);
    term = entry.term;
  }
}

/** What a packet holds, in order. */
export interface Packet {
  readonly messages: GroupMessage[];
  readonly offers: { readonly group: number; readonly id: string }[];
}

/** Throws `invalid/PEER_FORMAT` and `corrupt/PEER_CHECK`; what a damaged packet holds is not used at all. */
export function readPacket(packet: Buffer, from: number, to: number, hash: Hash64): Packet {
  const reader = openSealed(packet, hash);
  const read: Packet = { messages: [], offers: [] };
  while (reader.left > 0) {
    const type = reader.u8();
    if (type === HEARTBEAT_REQUESTS) readHeartbeats(reader, from, to, read.messages);
    else if (type === HEARTBEAT_RESPONSES) readResponses(reader, from, to, read.messages);
    else if (type === SNAPSHOT_OFFER) read.offers.push({ group: groupOf(reader.varint()), id: checkId(reader.text()) });
    else read.messages.push(readMessage(type, reader, from, to, packet.length));
  }
  return read;
}

function readHeartbeats(reader: ByteReader, from: number, to: number, messages: GroupMessage[]): void {
  const count = runCount(reader, HEARTBEAT_BYTES_MIN);
  let group = 0;
  for (let i = 0; i < count; i++) {
    const head = reader.varint();
    const sleep = head % 2 === 1;
    group = stepped(group, (head - (sleep ? 1 : 0)) / 2);
    const term = reader.varint();
    const commit = reader.varint();
    const round = reader.varint();
    messages.push({ group, message: { type: 'heartbeat-request', from, to, term, commit, round, sleep } });
  }
}

function readResponses(reader: ByteReader, from: number, to: number, messages: GroupMessage[]): void {
  const count = runCount(reader, RESPONSE_BYTES_MIN);
  let group = 0;
  for (let i = 0; i < count; i++) {
    group = stepped(group, reader.varint());
    const term = reader.varint();
    const round = reader.varint();
    messages.push({ group, message: { type: 'heartbeat-response', from, to, term, round } });
  }
}

function runCount(reader: ByteReader, bytesEach: number): number {
  const count = reader.u32();
  if (count === 0 || count * bytesEach > reader.left) throw peerFormat(`a run of ${count} heartbeats in ${reader.left} bytes`);
  return count;
}

function stepped(group: number, zigzag: number): number {
  return groupOf(group + (zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2));
}

function groupOf(group: number): number {
  if (group < 1 || group > GROUP_MAX) throw peerFormat(`${group} is no group`);
  return group;
}

function readMessage(type: number, reader: ByteReader, from: number, to: number, packetBytes: number): GroupMessage {
  const group = groupOf(reader.varint());
  const term = reader.varint();
  switch (type) {
    case VOTE_REQUEST: {
      const flags = flagsOf(reader, 3);
      const [lastIndex, lastTerm, commit, commitTerm] = [reader.varint(), reader.varint(), reader.varint(), reader.varint()];
      const [pre, force] = [(flags & 1) !== 0, (flags & 2) !== 0];
      return { group, message: { type: 'vote-request', from, to, term, pre, force, lastIndex, lastTerm, commit, commitTerm } };
    }
    case VOTE_RESPONSE: {
      const flags = flagsOf(reader, 3);
      const [pre, granted] = [(flags & 1) !== 0, (flags & 2) !== 0];
      return {
        group,
        message: { type: 'vote-response', from, to, term, pre, granted, commit: reader.varint(), commitTerm: reader.varint() },
      };
    }
    case APPEND_REQUEST:
      return { group, message: { type: 'append-request', from, to, term, ...readAppend(reader, packetBytes) } };
    case APPEND_RESPONSE: {
      const accepted = flagsOf(reader, 1) === 1;
      const [index, hintIndex, hintTerm] = [reader.varint(), reader.varint(), reader.varint()];
      return { group, message: { type: 'append-response', from, to, term, accepted, index, hintIndex, hintTerm } };
    }
    case SNAPSHOT_REQUEST: {
      const snapshot = { index: reader.varint(), term: reader.varint(), configuration: readConfiguration(reader) };
      return { group, message: { type: 'snapshot-request', from, to, term, snapshot } };
    }
    case TIMEOUT_NOW:
      return { group, message: { type: 'timeout-now', from, to, term } };
    case READ_REQUEST:
      return { group, message: { type: 'read-request', from, to, term, read: reader.varint() } };
    case READ_RESPONSE:
      return { group, message: { type: 'read-response', from, to, term, read: reader.varint(), index: reader.varint() } };
    case ENTRIES_REQUEST: {
      const [anchorIndex, anchorTerm, first, last] = [reader.varint(), reader.varint(), reader.varint(), reader.varint()];
      return { group, message: { type: 'entries-request', from, to, term, anchorIndex, anchorTerm, first, last } };
    }
    case ENTRIES_RESPONSE: {
      const [anchorIndex, anchorTerm, previousIndex, previousTerm] = [reader.varint(), reader.varint(), reader.varint(), reader.varint()];
      const entries = readEntries(reader, previousIndex, previousTerm, packetBytes);
      const message = { type: 'entries-response', from, to, term, anchorIndex, anchorTerm, previousIndex, previousTerm, entries } as const;
      return { group, message };
    }
    case SNAPSHOT_WANTED:
      return { group, message: { type: 'snapshot-wanted', from, to, term, index: reader.varint() } };
    case BARRIER_WANTED:
      return { group, message: { type: 'barrier-wanted', from, to, term, question: reader.varint() } };
    case BARRIER:
      return { group, message: { type: 'barrier', from, to, term, question: reader.varint(), index: reader.varint() } };
    case APPEND_RECEIVED:
      return { group, message: { type: 'append-received', from, to, term, index: reader.varint() } };
    default:
      throw peerFormat(`a record of unknown type ${type}`);
  }
}

function flagsOf(reader: ByteReader, known: number): number {
  const flags = reader.u8();
  if ((flags & ~known) !== 0) throw peerFormat(`unknown flags ${flags}`);
  return flags;
}

function readAppend(reader: ByteReader, packetBytes: number): Pick<AppendRequest, 'previousIndex' | 'previousTerm' | 'commit' | 'entries'> {
  const previousIndex = reader.varint();
  const previousTerm = reader.varint();
  const commit = reader.varint();
  return { previousIndex, previousTerm, commit, entries: readEntries(reader, previousIndex, previousTerm, packetBytes) };
}

function readEntries(reader: ByteReader, previousIndex: number, previousTerm: number, packetBytes: number): LogEntry[] {
  const count = reader.count(ENTRY_BYTES_MIN);
  if (!Number.isSafeInteger(previousIndex + count)) throw peerFormat('an index is larger than 2^53 - 1');
  const entries: LogEntry[] = [];
  let dataBytes = 0;
  let term = previousTerm;
  for (let index = previousIndex + 1; index <= previousIndex + count; index++) {
    const flags = flagsOf(reader, ENTRY_CHANGE + ENTRY_WITHHELD);
    term += reader.varint();
    if (!Number.isSafeInteger(term)) throw peerFormat('a term is larger than 2^53 - 1');
    const data = reader.bytes();
    dataBytes += data.length;
    const entry: LogEntry = { index, term, data: data.length === 0 ? NO_DATA : data };
    if ((flags & ENTRY_CHANGE) !== 0) entry.change = readChange(reader);
    if ((flags & ENTRY_WITHHELD) !== 0) entry.withheldBytes = reader.varint();
    entries.push(entry);
  }
  if (dataBytes > 0 && dataBytes * 4 < packetBytes) moveData(entries, dataBytes);
  return entries;
}

/** Into memory of their own. */
function moveData(entries: readonly LogEntry[], bytes: number): void {
  const own = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  for (const entry of entries) {
    if (entry.data.length === 0) continue;
    own.set(entry.data, at);
    entry.data = own.subarray(at, (at += entry.data.length));
  }
}

export function readConfiguration(reader: ByteReader): Configuration {
  return decodeConfiguration(reader.bytes());
}

function readChange(reader: ByteReader): ConfigurationChange {
  return decodeConfigurationChange(reader.bytes());
}

/** About how many bytes a message takes in a packet, and how many of memory while it waits: rather too many than too few. */
export function costOf(message: PeerMessage): number {
  if (message.type === 'snapshot-request') return 512;
  if (message.type !== 'append-request' && message.type !== 'entries-response') return 48;
  let bytes = 64;
  for (const entry of message.entries) bytes += entry.data.length + 16 + (entry.change === undefined ? 0 : 256);
  return bytes;
}
