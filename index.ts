/**
 * SparrowKV: `open` a store in this process, or `connect` to a server.
 * Each half has an entry of its own, `sparrowkv/engine` and `sparrowkv/client`; the first loads no gRPC.
 */
export { ConditionFailedError, open, SparrowError } from './engine/index.ts';
export type { Engine, EngineSettings, EngineSettingsInput } from './engine/index.ts';
export { connect } from './client/index.ts';
export type { Client, ConnectOptions } from './client/index.ts';
