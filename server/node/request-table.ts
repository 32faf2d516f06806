/**
 * The memory of identified writes: a write that is sent again with its id is not applied again.
 *
 * For each client there are REQUEST_WINDOW slots; the write with sequence number n is remembered in slot n modulo the window, until a
 * write with a later number takes the slot. So, of a client that the table knows, every number is decidable:
 *
 *   slot holds n           applied before: answer with its result
 *   slot holds more than n too old to tell: REQUEST_EXPIRED, not applied
 *   slot holds less        never applied
 *
 * The table knows the CLIENTS_MAX clients that wrote last, in the order of the log; the one that wrote longest ago makes room, and
 * `floor` notes the index of its last write. Of a client that the table does not know, a write is too old to tell when the client had
 * seen no version above the floor before it first sent that write (`seen` < floor); a client that gives no `seen` is taken as new.
 *
 * Only writes that were done are remembered. A write whose condition failed had no effect, so sent again it is judged again.
 *
 * Everything here depends on the log alone, so all replicas agree; the bounds are part of the format. Records in the engine, written in
 * the batch of the write itself (big-endian, so that a client's slots are neighbours):
 *
 *   | 0x00 | 'r' | client bytes u8 | client ... | slot u16 |  ->  | sequence u64 | index u64 | result ... |
 *   | 0x00 | 'f' |                                            ->  | floor u64 |
 *
 * `result` is empty but for range deletes (state-machine.ts). Called by state-machine.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Entry, HostedOperation } from '../../engine/index.ts';
import type { CommandRequestId } from './command-codec.ts';
import { OWN_PREFIX } from './keys.ts';

export const REQUEST_WINDOW = 1024;
export const CLIENTS_MAX = 4096;

const RECORD = 0x72;
const FLOOR = 0x66;
const FLOOR_KEY: Uint8Array = Uint8Array.of(OWN_PREFIX, FLOOR);

/** Begins the keys of all remembered writes. */
export const RECORD_PREFIX: Uint8Array = Uint8Array.of(OWN_PREFIX, RECORD);

export interface RememberedWrite {
  sequence: number;
  /** Where in the log it was applied: its version. */
  index: number;
  result: Uint8Array;
}

interface Client {
  id: Uint8Array;
  lastIndex: number;
  slots: Map<number, RememberedWrite>;
}

/** All that an engine remembers of writes, to be copied: in pieces, of one client after another. */
export function* rememberedWrites(records: Iterable<Entry>): Generator<RememberedWrite & { readonly client: Uint8Array }> {
  for (const [key, value] of records) yield { client: key.slice(3, 3 + key[2]!), ...decodeRecord(value) };
}

/** 0: none. */
export function floorOf(record: Uint8Array | undefined): number {
  return record === undefined ? 0 : Number(Buffer.from(record).readBigUInt64BE(0));
}

export class RequestTable {
  /** By client id as latin1 text, the one that wrote longest ago first. */
  readonly #clients: Map<string, Client> = new Map();
  /** The one that wrote last, and so the last of them: writes of one client mostly follow one another. Undefined: not known. */
  #newest: Client | undefined;
  #floor = 0;

  get clients(): number {
    return this.#clients.size;
  }

  /** Takes over what the engine holds: all records under RECORD_PREFIX, and the floor. */
  load(records: Iterable<Entry>, floor: Uint8Array | undefined): void {
    const clients: Client[] = [];
    for (const [key, value] of records) {
      const record = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
      const clientBytes = record[2] ?? 0;
      if (clientBytes === 0 || record.length !== 5 + clientBytes || value.length < 16) {
        throw new SparrowError('corrupt', 'CORRUPT_STATE', `a record of identified writes is malformed: ${record.toString('hex')}`);
      }
      const id = Uint8Array.from(record.subarray(3, 3 + clientBytes));
      let client = clients.at(-1);
      if (client === undefined || Buffer.compare(client.id, id) !== 0) clients.push((client = { id, lastIndex: 0, slots: new Map() }));
      const remembered = decodeRecord(value);
      client.slots.set(record.readUInt16BE(3 + clientBytes), remembered);
      client.lastIndex = Math.max(client.lastIndex, remembered.index);
    }
    // Records are in the order of the ids, which decides between clients that came from another shard.
    for (const client of clients.sort((a, b) => a.lastIndex - b.lastIndex)) this.#clients.set(nameOf(client.id), client);
    this.#floor = floorOf(floor);
  }

  static get floorKey(): Uint8Array {
    return FLOOR_KEY;
  }

  /** What an identified write is: 'new', 'expired', or one that was applied. */
  lookup(id: CommandRequestId): RememberedWrite | 'new' | 'expired' {
    const client = this.#isNewest(id) ? this.#newest : this.#clients.get(nameOf(id.client));
    if (client === undefined) return id.seen > 0 && id.seen < this.#floor ? 'expired' : 'new';
    const remembered = client.slots.get(id.sequence % REQUEST_WINDOW);
    if (remembered === undefined || remembered.sequence < id.sequence) return 'new';
    return remembered.sequence === id.sequence ? remembered : 'expired';
  }

  /** Notes that a write is applied at `index`; adds what the engine has to write with it to `batch`. */
  remember(id: CommandRequestId, index: number, result: Uint8Array, batch: HostedOperation[]): void {
    const client = this.#isNewest(id) ? this.#newest! : this.#writes(id.client, batch);
    client.lastIndex = index;
    const slot = id.sequence % REQUEST_WINDOW;
    const remembered = client.slots.get(slot);
    if (remembered === undefined) client.slots.set(slot, { sequence: id.sequence, index, result });
    else {
      // In its place: objects that live as long as a window does are dear to collect.
      remembered.sequence = id.sequence;
      remembered.index = index;
      remembered.result = result;
    }
    batch.push({ type: 'put', key: recordKey(client.id, slot), value: encodeRecord(id.sequence, index, result) });
  }

  #isNewest({ client }: CommandRequestId): boolean {
    return this.#newest !== undefined && equalIds(this.#newest.id, client);
  }

  /** It is the newest now. */
  #writes(id: Uint8Array, batch: HostedOperation[]): Client {
    const name = nameOf(id);
    let client = this.#clients.get(name);
    if (client === undefined) {
      if (this.#clients.size >= CLIENTS_MAX) this.#forgetOldest(batch);
      client = { id: Uint8Array.from(id), lastIndex: 0, slots: new Map() };
    } else {
      this.#clients.delete(name);
    }
    this.#clients.set(name, client);
    return (this.#newest = client);
  }

  /**
   * Takes over writes that another shard remembered, whose keys come here; they keep the indexes that they had there, which are none of this log. Of two in one
   * slot the later number stays, so that either is told from what never was.
   */
  adopt(writes: readonly (RememberedWrite & { readonly client: Uint8Array })[], batch: HostedOperation[]): void {
    if (writes.length === 0) return;
    this.#newest = undefined;
    for (const { client: id, sequence, index, result } of writes) {
      const name = nameOf(id);
      let client = this.#clients.get(name);
      if (client === undefined) this.#clients.set(name, (client = { id: Uint8Array.from(id), lastIndex: 0, slots: new Map() }));
      const slot = sequence % REQUEST_WINDOW;
      if ((client.slots.get(slot)?.sequence ?? -1) >= sequence) continue;
      client.slots.set(slot, { sequence, index, result: Uint8Array.from(result) });
      client.lastIndex = Math.max(client.lastIndex, index);
      batch.push({ type: 'put', key: recordKey(client.id, slot), value: encodeRecord(sequence, index, result) });
    }
    const clients = [...this.#clients.values()].sort((a, b) => a.lastIndex - b.lastIndex || compareIds(a.id, b.id));
    this.#clients.clear();
    for (const client of clients) this.#clients.set(nameOf(client.id), client);
    while (this.#clients.size > CLIENTS_MAX) this.#forgetOldest(batch);
  }

  /** What another shard had forgotten by then, whose keys come here, is forgotten here, too. */
  raiseFloor(floor: number, batch: HostedOperation[]): void {
    if (floor <= this.#floor) return;
    this.#floor = floor;
    batch.push({ type: 'put', key: FLOOR_KEY, value: encodeFloor(floor) });
  }

  #forgetOldest(batch: HostedOperation[]): void {
    const [name, client] = this.#clients.entries().next().value!;
    this.#clients.delete(name);
    for (const slot of client.slots.keys()) batch.push({ type: 'delete', key: recordKey(client.id, slot) });
    this.raiseFloor(client.lastIndex, batch);
  }
}

function nameOf(client: Uint8Array): string {
  return Buffer.from(client.buffer, client.byteOffset, client.byteLength).toString('latin1');
}

function recordKey(client: Uint8Array, slot: number): Uint8Array {
  const key = new Uint8Array(5 + client.length);
  key[0] = OWN_PREFIX;
  key[1] = RECORD;
  key[2] = client.length;
  key.set(client, 3);
  key[3 + client.length] = slot >>> 8;
  key[4 + client.length] = slot & 0xff;
  return key;
}

function equalIds(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** As their records are ordered. */
function compareIds(a: Uint8Array, b: Uint8Array): number {
  return a.length - b.length || Buffer.compare(a, b);
}

function encodeFloor(floor: number): Buffer {
  const record = Buffer.allocUnsafe(8);
  record.writeBigUInt64BE(BigInt(floor));
  return record;
}

const TWO_32: number = 2 ** 32;

function encodeRecord(sequence: number, index: number, result: Uint8Array): Uint8Array {
  const record = new Uint8Array(16 + result.length);
  writeU64(record, 0, sequence);
  writeU64(record, 8, index);
  record.set(result, 16);
  return record;
}

/** Big-endian. */
function writeU64(target: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  const low = value % TWO_32;
  for (let i = 0; i < 4; i++) {
    target[at + i] = high >>> (24 - 8 * i);
    target[at + 4 + i] = low >>> (24 - 8 * i);
  }
}

function decodeRecord(value: Uint8Array): RememberedWrite {
  const record = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return {
    sequence: record.readUInt32BE(0) * TWO_32 + record.readUInt32BE(4),
    index: record.readUInt32BE(8) * TWO_32 + record.readUInt32BE(12),
    result: value.slice(16),
  };
}
