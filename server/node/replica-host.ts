/** What a replica asks of the node that it lives on, and the node of its replicas. The node is node-host.ts. Types only. */
import type { HostSegment } from '../../engine/index.ts';
import type { PeerMessage, SnapshotHead, SnapshotSink, SnapshotSource } from '../transport/index.ts';

export interface ReplicaHost {
  /** From now on messages and ticks come to it. */
  add(replica: HostedReplica): void;
  /** It has stopped. */
  remove(replica: HostedReplica): void;
  /** Other nodes may be in its group from now on, or be elsewhere. */
  membersChanged(): void;
  /** Has `turn` called soon, once for all that asks for it until then. */
  schedule(replica: HostedReplica): void;
  /** Sends with what other groups have for the same nodes. Messages may be lost. */
  send(group: number, messages: readonly PeerMessage[]): void;
  /** As the transport's. */
  sendSnapshot(to: number, group: number, source: SnapshotSource): Promise<void>;
}

export interface HostedReplica {
  readonly group: number;
  /** Nothing happens in its group: it need not be ticked. */
  readonly asleep: boolean;
  /** Everybody that is in the group, as far as known. */
  readonly members: readonly number[];
  step(message: PeerMessage): void;
  /** A snapshot comes from another member: where it may go. Rejects when it is not wanted. */
  accept(from: number, head: SnapshotHead): Promise<SnapshotSink>;
  tick(): void;
  /** Carries out what there is to do since the last turn. */
  turn(): void;
  /** A node that is in the group was lost. */
  wake(): void;
  /** Of its engine; undefined: it has none that could be asked. */
  readonly upkeep: LogHolder | undefined;
}

/** Who keeps parts of the node's log from being removed. */
export interface LogHolder {
  /** Lets go of the log as far as that can be, whatever members that lag may lack. Under way when it returns; nothing when it is already. */
  releaseLog(): void;
  /** Segments of the node's log that its engine leads into. */
  readonly held: readonly HostSegment[];
  /** Its engine leads into these no more when it settles, unless something stood in the way. Never rejects. */
  relocate(segments: readonly number[]): Promise<void>;
}
