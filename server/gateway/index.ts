/** The gRPC edge of a server: kv-service.ts is the place to start. */
export { adminService } from './admin-service.ts';
export type { NodeLinks, OwnNode } from './cluster-admin.ts';
export { attendRequest, attendResponse, fromNode, toNode } from './attend-codec.ts';
export { MetaCalls, type MetaLeader } from './meta-calls.ts';
export { metaService } from './meta-service.ts';
export { CallCounter } from './call-counter.ts';
export { type ClusterIdentity, ClusterView, NO_CLUSTER } from './cluster-view.ts';
export { Connections } from './connections.ts';
export { Intake, type Room } from './intake.ts';
export { KvCalls } from './kv-calls.ts';
export { KvFront } from './kv-front.ts';
export type { KvVerbs, TableProxy } from './kv-verbs.ts';
export { QuotaKeeper } from './quota-keeper.ts';
export { ReceiveWindows } from './receive-windows.ts';
export { kvService, READ_PATHS, STREAM_PATHS, WRITE_PATHS, type KvService } from './kv-service.ts';
export { statusOf } from './rpc-errors.ts';
export { type Scans, streamChunks } from './scan-stream.ts';
export { type PlainCall, plainMethod } from './unary-call.ts';
