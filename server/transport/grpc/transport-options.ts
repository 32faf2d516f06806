/** Settings of the way between nodes, with their defaults, and what it is made of. */
import type { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import type { Clock, Random, Scheduler } from '../../../base/env.ts';
import type { SparrowError } from '../../../base/errors.ts';
import type { MessageMemory } from '../../../base/message-memory.ts';
import type { Identity } from '../greeting.ts';
import type { Hash64, RunningHash64 } from '../transport.ts';

const KIB = 1024;
const MIB: number = 1024 * KIB;

export interface TransportSettings {
  /** Entries that wait for one node, bytes. More are dropped. */
  readonly queueBytesMax: number;
  /** On top of it, for everything that is not entries. */
  readonly reserveBytes: number;
  /** A packet gets no further message when it is this large, bytes. */
  readonly packetBytes: number;
  /** Largest message, so the largest packet too, about: what a node may be made to hold for one. Larger ones are dropped and counted. */
  readonly messageBytesMax: number;
  /** Packets that are given to gRPC and not on their way yet, bytes of one node: beyond it they stay messages, which share packets. */
  readonly unsentBytesMax: number;
  /** What a node may send before it hears that it arrived, bytes for each connection. */
  readonly windowBytes: number;
  /** An idle connection is asked whether it lives this often, and is given up after so long without an answer. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Between attempts to open a stream: the first pause, and the longest. */
  readonly reconnectMsFirst: number;
  readonly reconnectMsMax: number;
  /** How long connection and greeting may take. */
  readonly openMsMax: number;
  /** Bytes a second of all snapshots that this node sends together. */
  readonly snapshotBytesPerSecond: number;
  /** Of a snapshot's data in one message. */
  readonly chunkBytes: number;
  /** A snapshot that nobody fetches is offered this often, and given up after so long without any of it moving. */
  readonly offerMs: number;
  readonly snapshotStallMsMax: number;
}

export const DEFAULT_TRANSPORT_SETTINGS: TransportSettings = {
  queueBytesMax: 32 * MIB,
  reserveBytes: 4 * MIB,
  packetBytes: 256 * KIB,
  messageBytesMax: 160 * MIB,
  unsentBytesMax: MIB,
  windowBytes: 8 * MIB,
  keepaliveMs: 1000,
  keepaliveTimeoutMs: 2000,
  reconnectMsFirst: 50,
  reconnectMsMax: 2000,
  openMsMax: 5000,
  snapshotBytesPerSecond: 100 * MIB,
  chunkBytes: 256 * KIB,
  offerMs: 1000,
  snapshotStallMsMax: 30_000,
};

export interface TransportParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly hash: Hash64;
  readonly createHash: () => RunningHash64;
  readonly serverCredentials: ServerCredentials;
  readonly channelCredentials: ChannelCredentials;
  /** Told of what an operator should know: a node that is refused, or refuses, and why. Not of nodes that are merely not there. */
  readonly onRefused?: (peer: number | undefined, error: SparrowError) => void;
  /** What a node that is no peer is told, when there is more to say than that: that it was removed. Of kind `invalid`. */
  readonly whyNoPeer?: (node: number) => SparrowError | undefined;
}

/** What every part of it has. */
export interface Common {
  readonly identity: Identity;
  readonly settings: TransportSettings;
  readonly parts: TransportParts;
  readonly packets: MessageMemory;
}

/** Of every client connection. None is shared: a channel of gRPC's pool has pauses of its own between attempts, and snapshots would be in the way of messages. */
export function channelOptions({
  windowBytes,
  messageBytesMax,
  keepaliveMs,
  keepaliveTimeoutMs,
  packetBytes,
}: TransportSettings): Record<string, number> {
  return {
    'grpc.use_local_subchannel_pool': 1,
    'grpc-node.flow_control_window': windowBytes,
    'grpc.max_receive_message_length': messageBytesMax + packetBytes + MIB,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.enable_retries': 0,
    'grpc.enable_channelz': 0,
  };
}

export function serverOptions({ keepaliveMs, keepaliveTimeoutMs, chunkBytes }: TransportSettings): Record<string, number> {
  return {
    // Whoever calls sends nothing but greetings and a few words on snapshots.
    'grpc.max_receive_message_length': chunkBytes,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
    'grpc.enable_channelz': 0,
  };
}
