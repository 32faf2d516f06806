/**
 * Where the nodes of the cluster are, as the log of its first group says, and which ids are used up. Part of the replica's state, so of every snapshot, and
 * the same on all members at the same applied index.
 *
 *   begins    with the list that the cluster was bootstrapped with, written by the first entry that is applied
 *   NODE      a command: a node has these addresses now; without any: it is forgotten (command-codec.ts)
 *   BEGUN     a command: a node has data from now on, whoever said where it is. One that comes with an empty directory after that has lost what it promised to others
 *   REMOVED   a command: the node has left the cluster. Such an id is not used again: nobody could tell what its node has forgotten. What a command says of
 *             it later does nothing. The same is noted of members that a forced change of the configuration leaves out, in the batch of that change. That a
 *             node is no member any more says nothing: the shard may have moved.
 *
 * Records in the engine, big-endian:
 *
 *   | 0x00 | 'n' | node u32 |  ->  | 1 or 3 u8 | address bytes u16 | address, UTF-8 | peer address, UTF-8 |     reached at these addresses; 3: it has begun
 *                             ->  | 2 u8 |                                                                   removed
 *
 * Format: docs/formats/command.md. Owned by state-machine.ts; read by membership.ts and by whoever connects nodes.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Entry, HostedOperation } from '../../engine/index.ts';
import { OWN_PREFIX } from './keys.ts';

/** Empty where nobody said so. */
export interface NodeAddress {
  /** HOST:PORT for clients. */
  readonly address: string;
  /** HOST:PORT for other nodes. */
  readonly peerAddress: string;
}

const RECORD = 0x6e;
const KNOWN = 1;
const REMOVED = 2;
const BEGUN = 3;
/** Of a node whose addresses are not this book's to say. */
export const NOWHERE: NodeAddress = Object.freeze({ address: '', peerAddress: '' });

/** Begins the keys of all records. */
export const NODE_PREFIX: Uint8Array = Uint8Array.of(OWN_PREFIX, RECORD);

export class AddressBook {
  #nodes: Map<number, NodeAddress>;
  readonly #begun: Set<number> = new Set();
  readonly #removed: Set<number> = new Set();
  #changes = 0;

  /** `beginning`: for as long as the engine has no records. */
  constructor(beginning: ReadonlyMap<number, NodeAddress>) {
    this.#nodes = new Map(beginning);
  }

  /** Whatever is known of, members or not, by node id. */
  get nodes(): ReadonlyMap<number, NodeAddress> {
    return this.#nodes;
  }

  /** Nodes that have, or had, data. */
  get begun(): ReadonlySet<number> {
    return this.#begun;
  }

  /** Ids that were members once. */
  get removed(): ReadonlySet<number> {
    return this.#removed;
  }

  /** Counts what changed since it was made. */
  get changes(): number {
    return this.#changes;
  }

  /** Takes over what the engine holds, all records under NODE_PREFIX, in place of the beginning. */
  load(records: Iterable<Entry>): void {
    this.#nodes = new Map();
    for (const [key, value] of records) {
      const node = key.length === 6 ? Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUInt32BE(2) : 0;
      const known = decodeRecord(value);
      if (node === 0 || known === undefined) {
        throw new SparrowError('corrupt', 'CORRUPT_STATE', `a record of a node is malformed: ${Buffer.from(key).toString('hex')}`);
      }
      if (known === 'removed') this.#removed.add(node);
      else if (!isNowhere(known)) this.#nodes.set(node, known);
      if (value[0] === BEGUN) this.#begun.add(node);
    }
  }

  /** Has the beginning written. */
  begin(batch: HostedOperation[]): void {
    for (const [node, known] of this.#nodes) batch.push({ type: 'put', key: keyOf(node), value: encodeRecord(known, false) });
  }

  /** A NODE command. */
  set(node: number, known: NodeAddress, batch: HostedOperation[]): void {
    if (this.#removed.has(node)) return;
    this.#changes++;
    if (isNowhere(known)) {
      this.#nodes.delete(node);
      this.#begun.delete(node);
      batch.push({ type: 'delete', key: keyOf(node) });
    } else {
      this.#nodes.set(node, known);
      batch.push({ type: 'put', key: keyOf(node), value: encodeRecord(known, this.#begun.has(node)) });
    }
  }

  /** A BEGUN command; also of a node that nobody has given an address here, as the metaserver takes nodes in. */
  begins(node: number, batch: HostedOperation[]): void {
    if (this.#removed.has(node)) return;
    this.#changes++;
    this.#begun.add(node);
    batch.push({ type: 'put', key: keyOf(node), value: encodeRecord(this.#nodes.get(node) ?? NOWHERE, true) });
  }

  /** They are members no more. */
  remove(nodes: readonly number[], batch: HostedOperation[]): void {
    for (const node of nodes) {
      this.#changes++;
      this.#nodes.delete(node);
      this.#begun.delete(node);
      this.#removed.add(node);
      batch.push({ type: 'put', key: keyOf(node), value: Uint8Array.of(REMOVED) });
    }
  }
}

function isNowhere({ address, peerAddress }: NodeAddress): boolean {
  return address === '' && peerAddress === '';
}

function keyOf(node: number): Uint8Array {
  const key = Buffer.alloc(6);
  key.set(NODE_PREFIX);
  key.writeUInt32BE(node, 2);
  return key;
}

function encodeRecord({ address, peerAddress }: NodeAddress, begun: boolean): Uint8Array {
  const first = Buffer.from(address, 'utf8');
  const head = Buffer.of(begun ? BEGUN : KNOWN, first.length >> 8, first.length & 0xff);
  return Buffer.concat([head, first, Buffer.from(peerAddress, 'utf8')]);
}

function decodeRecord(value: Uint8Array): NodeAddress | 'removed' | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length === 1 && bytes[0] === REMOVED) return 'removed';
  if (bytes.length < 3 || (bytes[0] !== KNOWN && bytes[0] !== BEGUN)) return undefined;
  const end = 3 + bytes.readUInt16BE(1);
  if (end > bytes.length) return undefined;
  return { address: bytes.toString('utf8', 3, end), peerAddress: bytes.toString('utf8', end) };
}
