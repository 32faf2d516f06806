/**
 * The first message of each stream between nodes, in both directions: who speaks, to whom, and in which format.
 *
 *   0            8               12            14            16            24         28       32                40
 *   | check u64 | magic "SPKP" | oldest u16  | newest u16  | cluster u64 | from u32 | to u32 | incarnation u64 |       sealed (sealed.ts)
 *
 *   oldest, newest   formats of what follows that the speaker reads. The answer names one, as both
 *   incarnation      chosen at random by each process: tells a node's life from the one before
 *
 * Whoever opens a stream speaks first. A node of another cluster, a stream that was meant for another node and formats that have none in common
 * are refused by either side. Format: docs/formats/raft-wire.md.
 */
import { SparrowError } from '../../base/errors.ts';
import { openSealed, seal, SEAL_BYTES } from './sealed.ts';
import type { Hash64 } from './transport.ts';
import { ByteWriter, peerFormat } from './wire-bytes.ts';

/** The format of messages and snapshots that this file's neighbours write. */
export const PEER_FORMAT = 1;
export const GREETING_BYTES = 40;

const MAGIC: number = Buffer.from('SPKP', 'latin1').readUInt32LE(0);

export interface Greeting {
  readonly oldest: number;
  readonly newest: number;
  readonly cluster: bigint;
  readonly from: number;
  readonly to: number;
  readonly incarnation: bigint;
}

/** Who this node is. */
export interface Identity {
  readonly cluster: bigint;
  /** From 1 to 2^32 - 1. */
  readonly node: number;
  readonly incarnation: bigint;
}

/** What this node says to `to`. */
export function greetingTo(to: number, { cluster, node, incarnation }: Identity): Greeting {
  return { oldest: PEER_FORMAT, newest: PEER_FORMAT, cluster, from: node, to, incarnation };
}

export function encodeGreeting(greeting: Greeting, hash: Hash64): Buffer {
  const writer = new ByteWriter(GREETING_BYTES);
  writer.at = SEAL_BYTES;
  writer.u32(MAGIC);
  writer.u16(greeting.oldest);
  writer.u16(greeting.newest);
  writer.u64(greeting.cluster);
  writer.u32(greeting.from);
  writer.u32(greeting.to);
  writer.u64(greeting.incarnation);
  return seal(writer, hash);
}

/** Throws `invalid/PEER_FORMAT` and `corrupt/PEER_CHECK`. */
export function decodeGreeting(bytes: Buffer, hash: Hash64): Greeting {
  // Before the check: whoever is no node at all should be told so.
  if (bytes.length !== GREETING_BYTES || bytes.readUInt32LE(SEAL_BYTES) !== MAGIC) throw peerFormat('it is no greeting of a node');
  const reader = openSealed(bytes, hash);
  reader.u32();
  const greeting = {
    oldest: reader.u16(),
    newest: reader.u16(),
    cluster: reader.u64(),
    from: reader.u32(),
    to: reader.u32(),
    incarnation: reader.u64(),
  };
  if (greeting.from === 0 || greeting.to === 0 || greeting.oldest > greeting.newest) throw peerFormat('a greeting makes no sense');
  return greeting;
}

/**
 * Throws why this node does not speak with whoever greeted: `invalid/` OTHER_CLUSTER, OTHER_NODE, FORMAT_NEWER, FORMAT_OLDER. `called`: the
 * node that was called, when it was this side that did.
 */
export function checkGreeting({ oldest, newest, cluster, from, to }: Greeting, own: Identity, called?: number): void {
  if (cluster !== own.cluster) {
    const [theirs, ours] = [hex(cluster), hex(own.cluster)];
    throw refused('OTHER_CLUSTER', `node ${from} belongs to cluster ${theirs}, this is node ${own.node} of cluster ${ours}`, {
      cluster: ours,
      theirs,
    });
  }
  if (to !== own.node)
    throw refused('OTHER_NODE', `node ${from} means node ${to}, this is node ${own.node}`, { node: own.node, meant: to });
  if (called !== undefined && from !== called) {
    throw refused('OTHER_NODE', `at the address of node ${called} is node ${from}`, { node: from, meant: called });
  }
  if (oldest > PEER_FORMAT) {
    throw refused('FORMAT_NEWER', `node ${from} speaks formats from ${oldest} on, this node up to ${PEER_FORMAT}`, { format: oldest });
  }
  if (newest < PEER_FORMAT) {
    throw refused('FORMAT_OLDER', `node ${from} speaks formats up to ${newest}, this node from ${PEER_FORMAT} on`, { format: newest });
  }
}

function hex(cluster: bigint): string {
  return cluster.toString(16).padStart(16, '0');
}

function refused(code: string, message: string, details: Record<string, string | number>): SparrowError {
  return new SparrowError('invalid', code, message, details);
}
