/** The service Admin: what an operator asks. */
import { performance } from 'node:perf_hooks';
import { SparrowError } from '../../base/errors.ts';
import type { AdminServer, StatusResponse } from '../../proto/index.ts';
import type { Connections } from './connections.ts';
import type { KvCalls } from './kv-calls.ts';
import type { CallCounter } from './call-counter.ts';
import { ALONE, ClusterAdmin, type OwnNode, ROLES } from './cluster-admin.ts';
import { shardsStatus } from './shards-status.ts';
import { plainMethod } from './unary-call.ts';

/** `own`: where this node is and its way to others, as they are when asked. */
export function adminService(
  calls: KvCalls,
  counter: CallCounter,
  connections: Connections,
  serverVersion: string,
  own: () => OwnNode = () => ALONE,
): AdminServer {
  const startedMs = performance.now();
  // A replica may be another one by the next call.
  const cluster = (shard: number = 0): ClusterAdmin => {
    const replica = shard === 0 ? calls.replica : calls.shards.get(shard);
    if (replica !== undefined) return new ClusterAdmin(replica, calls.cluster, serverVersion, own);
    throw new SparrowError('rerouted', 'NO_REPLICA', `this node has no replica of shard ${shard}`, { shard, applied: false });
  };
  const routed = (error: unknown): unknown => calls.cluster.routed(error);
  return {
    status: plainMethod(counter, 'status', ({ shard }) => ({
      version: serverVersion,
      uptimeMs: Math.round(performance.now() - startedMs),
      processId: process.pid,
      dataDirectory: calls.settings.data,
      connections: connections.count,
      // Not this one.
      callsInFlight: counter.callsInFlight - 1,
      residentBytes: process.memoryUsage.rss(),
      replica: { ...replicaStatus(calls), ...(shard !== undefined && shard !== 0 && calls.cluster.leadership(shard)) },
      engine: engineStatus(calls),
      clusterId: calls.cluster.clusterId,
      members: [...calls.cluster.members],
      shards: shardsStatus(calls.shards),
    })),
    clusterStatus: plainMethod(counter, 'cluster_status', ({ shard }) => ({
      ...cluster(shard).status(),
      shards: shardsStatus(calls.shards),
    })),
    changeMembers: plainMethod(counter, 'change_members', (request) => cluster(request.shard).changeMembers(request), routed),
    transferLead: plainMethod(counter, 'transfer_lead', (request) => cluster(request.shard).transferLead(request), routed),
    recoveryPlan: plainMethod(counter, 'recovery_plan', (request) => cluster(request.shard).recoveryPlan(request)),
    recover: plainMethod(counter, 'recover', (request) => cluster(request.shard).recover(request)),
  };
}

function replicaStatus(calls: KvCalls): NonNullable<StatusResponse['replica']> {
  const stats = calls.replica.stats();
  return {
    id: stats.id,
    role: ROLES[stats.role],
    leaderId: stats.leader,
    term: stats.term,
    lastIndex: stats.lastIndex,
    persistedIndex: stats.persistedIndex,
    committedIndex: stats.committedIndex,
    appliedIndex: stats.appliedIndex,
    firstIndex: stats.firstIndex,
    logBytes: stats.log.bytes,
    logSegments: stats.log.segments,
    writesInFlight: stats.writesInFlight,
    writeBytesInFlight: stats.writeBytesInFlight,
    stoppedBecause: stats.stoppedBecause?.message ?? '',
  };
}

function engineStatus(calls: KvCalls): StatusResponse['engine'] {
  const { writes, reads, memtables, tables, log, values, pageCache, flushes, compactions, manifest, space, snapshots, memory } =
    calls.engine.metrics();
  return {
    puts: writes.operations,
    gets: reads.gets,
    memtableBytes: memtables.bytes,
    sealedMemtables: memtables.sealed,
    levels: tables.levels.map(({ tables, bytes }) => ({ tables, bytes })),
    logSegments: log.segments,
    logBytes: log.bytes,
    liveValueBytes: values.liveBytes,
    valueFileBytes: values.fileBytes,
    pageCacheBytes: pageCache.bytes,
    pageReads: reads.pageReads,
    flushes: flushes.count,
    compactions: compactions.count,
    userBytes: writes.userBytes,
    bytesWritten: log.bytesWritten + flushes.bytesWritten + compactions.bytesWritten + manifest.bytesWritten,
    diskBytes: space.diskBytes,
    snapshots: snapshots.count,
    linearMemoryBytes: memory.linearBytes,
  };
}
