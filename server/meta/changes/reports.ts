/**
 * What of a node's report is to be persisted: who the members of its shards are, which keys those have, and shards that came of a split.
 *
 * Descriptor and members follow from the group's log, so of two reports the one that has applied more of it is newer, whoever reports. Two exceptions: only a
 * leader's report counts (others may be long behind), and a leader of a larger term whose log is shorter than what was known to be applied has lost
 * entries for good (a forced recovery): what it says is what there is.
 *
 * A shard that nobody knows is taken in when it has keys that no newer shard has: the child of a split, whatever became of the operator that ordered it. One that has no leader to report it: strays.ts.
 * Otherwise it is a replica of a shard that is gone (superseded), and placement/tidy.ts has it destroyed; what this metaserver cannot have made itself is
 * left alone.
 *
 * Pure. Called by the shell for each report, before `Cluster.observe`.
 */
import { checkDescriptor, sameKeys, sameSettings, type ShardDescriptor } from '../../shard/descriptor.ts';
import { isJoint, membersOf } from '../../raft/index.ts';
import type { NodeReport, ShardReport } from '../attending.ts';
import { isSuperseded } from '../lineage.ts';
import type { ReplicaRecord, Shard, ShardRecord } from '../shard.ts';
import type { Change, ClusterState, MetaWrite } from '../state.ts';
import { change } from './change.ts';

/** Throws `invalid/SHARD_DESCRIPTOR` when a descriptor makes no sense. */
export function takeReport(state: ClusterState, report: Pick<NodeReport, 'shards'>, nowMs: number): Change {
  const writes: MetaWrite[] = [];
  for (const shard of report.shards) {
    const { shard: id } = shard.descriptor;
    const known = state.shards.get(id);
    if (known !== undefined && shard.role !== 'leader') continue;
    checkDescriptor(shard.descriptor);
    if (shard.role !== 'leader') continue;
    const record = known ? changed(known, shard, nowMs) : adopted(state, shard, nowMs);
    if (record !== undefined) writes.push({ kind: 'shard', id, record });
  }
  return change(state, writes, undefined);
}

function changed({ record, term, membersAsOf }: Shard, report: ShardReport, nowMs: number): ShardRecord | undefined {
  const { descriptor, configuration, applied, lastIndex } = report;
  if (report.term < Math.max(term, record.asOfTerm)) return undefined;
  const known = Math.max(membersAsOf, record.asOfIndex);
  const cutOff = report.term > record.asOfTerm && lastIndex < known;
  if (applied < known && !cutOff) return undefined;
  const replicas = replicasOf(report);
  const joint = isJoint(configuration);
  const shrunk = descriptor.epoch > record.descriptor.epoch && !sameKeys(descriptor.keys, record.descriptor.keys);
  if (
    record.asOfIndex > 0 &&
    joint === record.joint &&
    sameReplicas(replicas, record.replicas) &&
    sameDescriptor(descriptor, record.descriptor)
  )
    return undefined;
  return {
    ...record,
    descriptor,
    replicas,
    joint,
    asOfIndex: applied,
    asOfTerm: report.term,
    splitAtMs: shrunk ? nowMs : record.splitAtMs,
  };
}

function adopted(state: ClusterState, report: ShardReport, nowMs: number): ShardRecord | undefined {
  const { descriptor } = report;
  const { shard: id, table } = descriptor;
  if (!state.tables.has(table) || id >= state.counters.nextShard || descriptor.state === 'retired') return undefined;
  return isSuperseded(state, descriptor) ? undefined : recordOf(report, nowMs);
}

/** Of a shard that came of a split then. */
export function recordOf(report: ShardReport, atMs: number): ShardRecord {
  const { descriptor, configuration, applied, term } = report;
  return {
    id: descriptor.shard,
    table: descriptor.table,
    descriptor,
    replicas: replicasOf(report),
    joint: isJoint(configuration),
    asOfIndex: applied,
    asOfTerm: term,
    createdAtMs: atMs,
    splitAtMs: atMs,
    byHand: false,
  };
}

function replicasOf({ configuration }: ShardReport): ReplicaRecord[] {
  const { voters, outgoing, witnesses } = configuration;
  return membersOf(configuration).map((node) => ({
    node,
    votes: voters.includes(node) || outgoing.includes(node),
    data: !witnesses.includes(node),
  }));
}

function sameReplicas(a: readonly ReplicaRecord[], b: readonly ReplicaRecord[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i]!.node !== b[i]!.node || a[i]!.votes !== b[i]!.votes || a[i]!.data !== b[i]!.data) return false;
  }
  return true;
}

function sameDescriptor(a: ShardDescriptor, b: ShardDescriptor): boolean {
  return a.epoch === b.epoch && a.state === b.state && sameSettings(a, b) && sameKeys(a.keys, b.keys);
}
