/** The way between nodes: transport.ts is the place to start. */
export type {
  GroupMessage,
  Hash64,
  MessagesHandler,
  PeerMessage,
  RunningHash64,
  SnapshotAcceptor,
  SnapshotFile,
  SnapshotHead,
  SnapshotPosition,
  SnapshotSink,
  SnapshotSource,
  Transport,
} from './transport.ts';
export {
  type Barrier,
  type BarrierWanted,
  type EntriesRequest,
  type EntriesResponse,
  isRepairMessage,
  type RepairMessage,
  type SnapshotWanted,
} from './repair-messages.ts';
export { PacketWriter, type Packet, readPacket } from './message-codec.ts';
export { checkGreeting, decodeGreeting, encodeGreeting, type Greeting, greetingTo, type Identity, PEER_FORMAT } from './greeting.ts';
export { DirectorySource } from './directory-source.ts';
export { type FoundSnapshot, type IncomingParts, IncomingSnapshot } from './incoming-snapshot.ts';
export { decodeSnapshotMessage, encodeSnapshotMessage, type SnapshotMessage } from './snapshot-codec.ts';
export { TokenBucket } from './token-bucket.ts';
export type { Drop, PeerStats, Traffic } from './peer-stats.ts';
export {
  DEFAULT_TRANSPORT_SETTINGS,
  GrpcTransport,
  type TransportParts,
  type TransportSettings,
  type TransportStats,
} from './grpc/index.ts';
