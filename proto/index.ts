/**
 * The contract between clients and servers. `proto/sparrowkv/v1/*.proto` says it; `gen/` is generated from that by
 * scripts/build-proto.ts and not committed. `Kv` and `KvClient` are the generated ones with two changes: the messages of hot calls
 * are written and read by hand (hot-codec.ts), and a session's messages stay raw frames (session-codec.ts).
 */
export {
  AnyNode,
  Condition,
  DeleteRangeRequest,
  DeleteRangeResponse,
  DeleteRequest,
  DeleteResponse,
  FailedCondition,
  GetRequest,
  GetResponse,
  MultiGetRequest,
  MultiGetResponse,
  Operation,
  PutRequest,
  PutResponse,
  Range,
  RequestId,
  ScanEntry,
  ScanRequest,
  ScanResponse,
  WriteRequest,
  WriteResponse,
} from './gen/sparrowkv/v1/kv.ts';
export {
  AdminClient,
  AdminService,
  ChangeMembersRequest,
  ClusterStatusResponse,
  EngineStatus,
  LevelStatus,
  MemberProgress,
  MemberRole,
  MemberState,
  NodeAddresses,
  NodeState,
  ProgressState,
  RecoverRequest,
  RecoveryPlanRequest,
  RecoveryPlanResponse,
  ReplicaStatus,
  Role,
  StatusRequest,
  ShardsStatus,
  StatusResponse,
  UnwellShard,
  type AdminServer,
} from './gen/sparrowkv/v1/admin.ts';
export { Leadership, Member } from './gen/sparrowkv/v1/cluster.ts';
export * from './gen/sparrowkv/v1/meta.ts';
export { SessionError, SessionGreeting } from './gen/sparrowkv/v1/session.ts';
export * from './session-codec.ts';
export * from './hot-codec.ts';
export * from './shard-notes.ts';
export * from './caller.ts';
export { Kv, KvClient, type KvDefinition, type KvHandlers } from './kv-definition.ts';
export { fileDescriptors } from './descriptors.ts';
