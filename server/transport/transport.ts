/**
 * What a node may ask of the way to other nodes. grpc/ is the real one; the simulator has another.
 *
 * Messages are sent and forgotten: they may be lost, Raft sends again what matters. Those that arrive over one connection arrive whole and in
 * the order in which they were sent. Snapshots arrive whole, or `sendSnapshot` says why not.
 */
import type { Message, Snapshot } from '../raft/index.ts';
import type { RepairMessage } from './repair-messages.ts';

/** What members of a group say to one another. */
export type PeerMessage = Message | RepairMessage;

/** A message of one group. Its `from` and `to` are node ids: a member of a group is its node. */
export interface GroupMessage {
  /** From 1 to 2^32 - 1. */
  readonly group: number;
  readonly message: PeerMessage;
}

/** Data of entries may alias the bytes received; it is not changed any more. */
export type MessagesHandler = (from: number, messages: readonly GroupMessage[]) => void;

export interface SnapshotFile {
  /** 1 to 255 characters: letters, digits, `-`, `_`, `.`, not beginning with a dot. Unique in the snapshot. */
  readonly name: string;
  readonly bytes: number;
}

/** What a snapshot is, before its data. */
export interface SnapshotHead {
  readonly group: number;
  /** The sender's term, as in the snapshot request that stands for this. */
  readonly term: number;
  readonly snapshot: Snapshot;
  /** Names exactly these bytes, 1 to 64 characters as in file names: a transfer that broke goes on only where this is the same. */
  readonly id: string;
  readonly files: readonly SnapshotFile[];
}

/** A snapshot to be sent: files that do not change until the transfer is over. */
export interface SnapshotSource extends Omit<SnapshotHead, 'group'> {
  /** Fills `target` with what stands at `offset` of file number `file`. */
  read(file: number, offset: number, target: Uint8Array): Promise<void>;
  /** No more is read. Idempotent; the transport calls it when a transfer is over. */
  close(): void;
}

/** A place in a snapshot: so much of file number `file` is there, and all of those before it. */
export interface SnapshotPosition {
  readonly file: number;
  readonly offset: number;
}

/** Where a snapshot that arrives goes. Calls come one at a time. What it throws goes to the sender, and ends the transfer there too. */
export interface SnapshotSink {
  readonly position: SnapshotPosition;
  /** The bytes that follow at `position`. They are not kept. */
  write(bytes: Uint8Array): void;
  /** The file is whole, and this is its XXH64. Throws `corrupt/SNAPSHOT_CHECK` when it is not what was written. */
  endFile(check: bigint): Promise<void>;
  /** Everything is there and durable: takes the snapshot over. */
  finish(): Promise<void>;
  /** The transfer is over, whether it was finished or not. What was not finished may be gone on with. */
  close(): void;
}

/** Gives a snapshot a place to go, or throws why it is not wanted. A transfer that broke asks again with the same `id`. */
export type SnapshotAcceptor = (from: number, head: SnapshotHead) => SnapshotSink | Promise<SnapshotSink>;

export interface Transport {
  /** Sends in this order. Whatever does not fit, or has no way, is dropped and counted. Never throws for reasons that lie outside. */
  send(to: number, messages: readonly GroupMessage[]): void;
  /** One handler, before anything is sent. */
  onMessages(handler: MessagesHandler): void;
  /**
   * Settles when the other side has taken the snapshot over. Rejects with what it has against it, with `unavailable/UNREACHABLE` when it
   * cannot be reached for long, `cancelled/ABORTED` after `signal`, and `closed/TRANSPORT_CLOSED`.
   */
  sendSnapshot(to: number, group: number, source: SnapshotSource, signal?: AbortSignal): Promise<void>;
  onSnapshot(acceptor: SnapshotAcceptor): void;
  /** Whether there is a connection over which messages to this node would leave. */
  reachable(to: number): boolean;
  close(): Promise<void>;
}

/** XXH64 with a seed, at one go. */
export type Hash64 = (bytes: Uint8Array, seed: bigint) => bigint;

/** XXH64 with seed 0 of bytes that come in pieces. */
export interface RunningHash64 {
  update(bytes: Uint8Array): void;
  /** Of all so far; more may follow. */
  digest(): bigint;
}
