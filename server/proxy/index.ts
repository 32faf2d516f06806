/** Serves clients that know no shards, out of the nodes that have them. */
export { ProxyCalls } from './proxy-calls.ts';
export { ClusterProxy } from './cluster-proxy.ts';
export { SdkTables } from './sdk-tables.ts';
