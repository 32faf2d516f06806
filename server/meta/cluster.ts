/**
 * The state of the cluster in memory: records as persisted, what nodes reported, and the indices that follow from both (state.ts says what is
 * which). Made when a node begins to lead META_GROUP, dropped when it stops.
 *
 *   apply     takes in records that are persisted, one change at a time
 *   observe   takes in a node's report; what of it is to be persisted, changes/reports.ts says
 *
 * Every index is brought up to date where it changes, at a cost that does not depend on the size of the cluster: a report of a shard costs its few
 * members, a change of a node's health its few hundred replicas. Only two things touch all shards of a pool: how many zones count, and a policy.
 *
 * Invariant: indices are a function of records and reports; the test builds them anew and compares.
 *
 * Called by the shell; read by changes/ and placement/.
 */
import { membersOf } from '../raft/index.ts';
import { SYSTEM_TABLE } from '../shard/descriptor.ts';
import type { FailedReplica, NodeLoadReport, NodeReport, ShardReport } from './attending.ts';
import { NOTHING_OVER, overOf } from './load.ts';
import { diagnose, nodesTouched, plannedLeader, plannedReplicas, sizeClassOf } from './placement/index.ts';
import { type Policy, resolvePolicy } from './policy.ts';
import { isFor, LOAD_WINDOW_MS, type Node, type NodeLoad, type NodeRecord, type Over, type PeerProbe } from './node.ts';
import type { OperatorRecord } from './operator.ts';
import {
  type Ailment,
  AILMENTS,
  type Failure,
  type Hosted,
  type ReplicaProgress,
  type ReplicaRecord,
  type Shard,
  type ShardLoad,
  type ShardRecord,
  SIZE_CLASSES,
  type SizeClass,
} from './shard.ts';
import { type ClusterState, type Counters, FIRST_COUNTERS, type MetaWrite, type Stray } from './state.ts';
import type { TableRecord } from './table.ts';
import { ReadsBefore } from './reads-before.ts';
import { compareStarts, ShardOrder } from './shard-order.ts';

const NOBODY: readonly Node[] = [];

interface Eligible {
  readonly nodes: readonly NodeEntry[];
  readonly zones: number;
}

class NodeEntry implements Node {
  record: NodeRecord;
  load: NodeLoad | undefined;
  heardAtMs: number;
  probe: PeerProbe | undefined;
  over: Over = NOTHING_OVER;
  readonly shards: Set<ShardEntry> = new Set();
  /** Shards of which it says it has a replica, member or not. */
  readonly replicasHere: Set<ShardEntry> = new Set();
  memberBytes = 0;
  memberTraffic = 0;
  carried = 0;
  /** When a report counted in `carried` last. */
  carriedAtMs = 0;
  replicas = 0;
  bytes = 0;
  leads = 0;
  traffic = 0;
  arriving = 0;
  departing = 0;

  constructor(record: NodeRecord, heardAtMs: number) {
    this.record = record;
    this.heardAtMs = heardAtMs;
  }
}

class ShardEntry implements Shard {
  readonly id: number;
  record: ShardRecord;
  leader = 0;
  term = 0;
  lastIndex = 0;
  membersAsOf: number;
  progress: readonly ReplicaProgress[] = [];
  load: ShardLoad | undefined;
  /** Who reported it. */
  loadOf = 0;
  readonly hosts: Map<number, Hosted> = new Map();
  operator: OperatorRecord | undefined;
  planned: readonly ReplicaRecord[];
  plannedLeader = 0;
  ailment: Ailment | undefined;
  size: SizeClass | undefined;

  constructor(record: ShardRecord) {
    this.id = record.id;
    this.record = record;
    this.planned = record.replicas;
    this.membersAsOf = record.asOfIndex;
  }
}

export class Cluster implements ClusterState {
  counters: Counters = FIRST_COUNTERS;
  policy: Policy = resolvePolicy();
  readonly nodes: Map<number, NodeEntry> = new Map();
  readonly tables: Map<number, TableRecord> = new Map();
  readonly shards: Map<number, ShardEntry> = new Map();
  readonly operators: Map<number, OperatorRecord> = new Map();
  readonly running: Map<number, OperatorRecord> = new Map();
  readonly strays: Map<number, Map<number, Stray>> = new Map();
  /** When this lead of META_GROUP began. */
  readonly ledSinceMs: number;
  /** How many diagnoses were made: what upkeep of the indices costs, for tests. */
  diagnoses = 0;

  readonly #order: ShardOrder<ShardEntry> = new ShardOrder();
  readonly #names: Map<string, TableRecord> = new Map();
  readonly #ailing: Map<Ailment, Set<ShardEntry>> = new Map(AILMENTS.map((ailment) => [ailment, new Set()]));
  readonly #sized: Map<SizeClass, Set<ShardEntry>> = new Map(SIZE_CLASSES.map((size) => [size, new Set()]));
  /** Diagnosed anew before anybody looks. */
  readonly #touched: Set<ShardEntry> = new Set();
  readonly #readsBefore: ReadsBefore<ShardEntry> = new ReadsBefore();
  /** Nodes by pool, and of the metaserver (undefined); and how many zones count there. */
  readonly #eligible: Map<string | undefined, Eligible> = new Map();
  /** To be made anew before anybody looks. */
  readonly #stalePools: Set<string | undefined> = new Set();

  constructor(nowMs: number) {
    this.ledSinceMs = nowMs;
  }

  apply(writes: readonly MetaWrite[]): void {
    for (const write of writes) this.#take(write);
  }

  tableNamed(name: string): TableRecord | undefined {
    return this.#names.get(name);
  }

  shardsOf(table: number): readonly Shard[] {
    return this.#order.of(table);
  }

  nodesFor(table: TableRecord): readonly Node[] {
    return this.#eligibleFor(table)?.nodes ?? NOBODY;
  }

  zonesFor(table: TableRecord): number {
    return this.#eligibleFor(table)?.zones ?? 0;
  }

  ailing(ailment: Ailment): ReadonlySet<Shard> {
    this.#diagnoseTouched();
    return this.#ailing.get(ailment)!;
  }

  sized(size: SizeClass): ReadonlySet<Shard> {
    return this.#sized.get(size)!;
  }

  // What nodes say.

  /** A node's report, or that it was heard otherwise (`report` undefined). Unknown nodes have to register first: nothing happens. */
  observe(id: number, report: NodeReport | undefined, nowMs: number): void {
    const node = this.nodes.get(id);
    if (node === undefined) return;
    node.heardAtMs = nowMs;
    node.probe = undefined;
    this.#forgetReads(nowMs);
    if (report === undefined) return;
    this.#loaded(node, report.load, nowMs);
    if (report.full)
      this.#forgetHosted(
        id,
        new Set([...report.shards.map(({ descriptor }) => descriptor), ...(report.failed ?? [])].map(({ shard }) => shard)),
      );
    for (const shard of report.shards) this.#reported(id, shard);
    for (const failed of report.failed ?? []) this.#failed(id, failed);
    for (const shard of report.gone) this.#unhosted(shard, id);
  }

  /** Peers were asked whether they reach a node. */
  asked(id: number, peers: readonly number[], nowMs: number): void {
    const node = this.nodes.get(id);
    if (node) node.probe = { askedAtMs: nowMs, open: peers, reachedAtMs: node.probe?.reachedAtMs ?? 0, failed: 0 };
  }

  /** What a peer says that was asked. */
  probed(id: number, peer: number, reached: boolean, nowMs: number): void {
    const node = this.nodes.get(id);
    if (!node?.probe?.open.includes(peer)) return;
    const { askedAtMs, open, reachedAtMs, failed } = node.probe;
    node.probe = {
      askedAtMs,
      open: open.filter((other) => other !== peer),
      reachedAtMs: reached ? nowMs : reachedAtMs,
      failed: failed + (reached ? 0 : 1),
    };
  }

  // Records.

  #take(write: MetaWrite): void {
    switch (write.kind) {
      case 'node':
        return this.#takeNode(write.id, write.record);
      case 'table':
        return this.#takeTable(write.id, write.record);
      case 'shard':
        return this.#takeShard(write.id, write.record);
      case 'operator':
        return this.#takeOperator(write.id, write.record);
      case 'policy':
        this.policy = resolvePolicy(write.record);
        for (const shard of this.shards.values()) this.#sizeUp(shard);
        for (const node of this.nodes.values()) if (node.load) node.over = overOf(node, this.policy);
        return;
      case 'counters':
        this.counters = write.record;
    }
  }

  #takeNode(id: number, record: NodeRecord | undefined): void {
    const known = this.nodes.get(id);
    const before = known?.record;
    if (record === undefined) this.nodes.delete(id);
    else if (known) known.record = record;
    else this.#addNode(new NodeEntry(record, this.ledSinceMs));
    for (const shard of known?.shards ?? []) this.#touched.add(shard);
    for (const shard of known?.replicasHere ?? []) this.#touched.add(shard);
    for (const pool of [before?.pool, record?.pool, undefined]) this.#stalePools.add(pool);
  }

  /** Members that were known before their node was. */
  #addNode(node: NodeEntry): void {
    const { id } = node.record;
    const concerned = [...this.shards.values()].filter(
      (shard) => shard.plannedLeader === id || shard.planned.some((replica) => replica.node === id) || isMember(shard, id),
    );
    for (const shard of concerned) this.#uncount(shard);
    this.nodes.set(id, node);
    for (const shard of concerned) {
      this.#count(shard);
      this.#touched.add(shard);
    }
  }

  #takeTable(id: number, record: TableRecord | undefined): void {
    const known = this.tables.get(id);
    if (known && this.#names.get(known.name)?.id === id) this.#names.delete(known.name);
    if (record === undefined) {
      this.tables.delete(id);
      return;
    }
    this.tables.set(id, record);
    if (record.droppedAtMs === 0) this.#names.set(record.name, record);
    for (const shard of this.#order.of(id)) this.#touched.add(shard);
  }

  #takeShard(id: number, record: ShardRecord | undefined): void {
    let shard = this.shards.get(id);
    if (record === undefined) {
      if (shard) this.#dropShard(shard);
      return;
    }
    if (shard === undefined) {
      shard = new ShardEntry(record);
      shard.operator = this.#operatorOn(id);
      this.shards.set(id, shard);
      this.#order.add(shard);
    } else {
      this.#uncount(shard);
      const moves = compareStarts(shard.record.descriptor.keys, record.descriptor.keys) !== 0;
      if (moves) this.#order.remove(shard);
      shard.record = record;
      if (moves) this.#order.add(shard);
      shard.membersAsOf = Math.max(shard.membersAsOf, record.asOfIndex);
    }
    this.#count(shard);
    this.#touched.add(shard);
    const waiting = this.strays.get(id);
    if (waiting === undefined) return;
    this.strays.delete(id);
    for (const [node, { report, failed }] of waiting) {
      if (failed !== undefined) this.#failed(node, failed);
      else if (report !== undefined) this.#reported(node, report);
    }
  }

  #dropShard(shard: ShardEntry): void {
    this.#uncount(shard);
    this.#order.remove(shard);
    this.#readsBefore.forget(shard);
    this.shards.delete(shard.id);
    for (const node of shard.hosts.keys()) this.nodes.get(node)?.replicasHere.delete(shard);
    this.#touched.delete(shard);
    this.#file(shard, undefined);
    if (shard.size !== undefined) this.#sized.get(shard.size)!.delete(shard);
  }

  #takeOperator(id: number, record: OperatorRecord | undefined): void {
    const known = this.operators.get(id);
    if (known?.state === 'running') {
      this.running.delete(id);
      this.#countCopies(known, -1);
    }
    if (record) this.operators.set(id, record);
    else this.operators.delete(id);
    if (record?.state === 'running') {
      this.running.set(id, record);
      this.#countCopies(record, 1);
    }
    for (const about of new Set([known?.shard, known?.other, record?.shard, record?.other])) {
      const shard = about === undefined ? undefined : this.shards.get(about);
      if (shard === undefined) continue;
      this.#uncount(shard);
      if (record?.state === 'running') shard.operator = record;
      else if (shard.operator?.id === id) shard.operator = undefined;
      this.#count(shard);
      this.#touched.add(shard);
    }
  }

  #operatorOn(shard: number): OperatorRecord | undefined {
    for (const operator of this.running.values()) if (operator.shard === shard || operator.other === shard) return operator;
    return undefined;
  }

  // Reports.

  #loaded(node: NodeEntry, load: NodeLoadReport, nowMs: number): void {
    // Until then nobody could tell which of its replicas are not there.
    if (node.load === undefined) for (const shard of node.shards) this.#touched.add(shard);
    const part = node.load === undefined ? 1 : Math.min(1, Math.max(0, nowMs - node.carriedAtMs) / LOAD_WINDOW_MS);
    node.carried += part * (node.memberTraffic - node.carried);
    node.carriedAtMs = nowMs;
    node.load = load;
    const over = overOf(node, this.policy);
    if (over.slow !== node.over.slow) for (const shard of node.shards) if (shard.leader === node.record.id) this.#touched.add(shard);
    node.over = over;
  }

  #reported(id: number, report: ShardReport): void {
    const { descriptor, role, term } = report;
    const shard = this.shards.get(descriptor.shard);
    if (shard === undefined) return this.#stray(descriptor.shard, id, { report, failed: undefined });
    const failure = role === 'stopped' ? this.#failureOf(shard, id, 'stopped', report.stoppedBecause) : undefined;
    this.#hosted(shard, id, { applied: report.applied, waits: membersOf(report.configuration).length === 0, failure });
    if (role === 'leader' && term >= shard.term) return this.#ledBy(shard, id, report);
    if (term > shard.term || (term === shard.term && shard.leader === 0)) this.#lead(shard, report.leader, term);
    // A leader that steps down says so.
    else if (shard.leader === id && term === shard.term) this.#lead(shard, 0, term);
  }

  #failed(id: number, failed: FailedReplica): void {
    const { shard: of, why } = failed;
    const shard = this.shards.get(of);
    // It is said once: whoever leads the shard may say later that there is one.
    if (shard === undefined) return this.#stray(of, id, { report: this.strays.get(of)?.get(id)?.report, failed });
    this.#hosted(shard, id, { applied: 0, waits: false, failure: this.#failureOf(shard, id, 'failed', why) });
    if (shard.leader === id) this.#lead(shard, 0, shard.term);
  }

  #stray(shard: number, node: number, stray: Stray): void {
    const at = this.strays.get(shard) ?? new Map<number, Stray>();
    this.strays.set(shard, at.set(node, stray));
  }

  #failureOf({ hosts }: ShardEntry, id: number, how: Failure['how'], why: string): Failure {
    return { how, why, sinceMs: hosts.get(id)?.failure?.sinceMs ?? this.nodes.get(id)!.heardAtMs };
  }

  #hosted(shard: ShardEntry, id: number, hosted: Hosted): void {
    const before = shard.hosts.get(id);
    // Where there are more replicas than members, what each has applied tells which one is a stray.
    if (before === undefined || before.failure?.how !== hosted.failure?.how || shard.hosts.size !== shard.record.replicas.length)
      this.#touched.add(shard);
    this.nodes.get(id)!.replicasHere.add(shard);
    shard.hosts.set(id, hosted);
  }

  #ledBy(shard: ShardEntry, id: number, report: ShardReport): void {
    const { diskBytes, keysCount, writesPerSecond, bytesPerSecond } = report;
    const readsPerSecond = this.#readsBefore.counting(shard, id, report.readsPerSecond, this.nodes.get(id)!.heardAtMs);
    this.#uncount(shard);
    shard.load = {
      bytes: Math.round(diskBytes),
      keys: Math.round(keysCount),
      readsPerSecond: Math.round(readsPerSecond),
      writesPerSecond: Math.round(writesPerSecond),
      bytesPerSecond: Math.round(bytesPerSecond),
    };
    // Whether a replica is a stray is known as soon as the members are known as of what it has applied.
    if (shard.leader !== id || shard.hosts.size !== shard.record.replicas.length) this.#touched.add(shard);
    shard.leader = id;
    shard.term = report.term;
    shard.lastIndex = report.lastIndex;
    shard.membersAsOf = Math.max(shard.record.asOfIndex, report.applied);
    shard.progress = report.matches;
    this.#count(shard);
    this.#sizeUp(shard);
  }

  /** From now on what leaders report counts. */
  #forgetReads(nowMs: number): void {
    for (const [shard, reported] of this.#readsBefore.over(nowMs)) {
      this.#uncount(shard);
      shard.load = { ...shard.load!, readsPerSecond: Math.round(reported) };
      this.#count(shard);
      this.#sizeUp(shard);
    }
  }

  #lead(shard: ShardEntry, leader: number, term: number): void {
    this.#uncount(shard);
    shard.leader = leader;
    shard.term = term;
    this.#count(shard);
    this.#touched.add(shard);
  }

  #unhosted(id: number, node: number): void {
    const shard = this.shards.get(id);
    if (shard?.hosts.delete(node)) {
      this.nodes.get(node)?.replicasHere.delete(shard);
      if (shard.leader === node) this.#lead(shard, 0, shard.term);
      this.#touched.add(shard);
    }
    const strays = this.strays.get(id);
    if (strays?.delete(node) && strays.size === 0) this.strays.delete(id);
  }

  /** A full report names all that a node has. */
  #forgetHosted(node: number, reported: ReadonlySet<number>): void {
    for (const { id } of [...this.nodes.get(node)!.replicasHere]) if (!reported.has(id)) this.#unhosted(id, node);
    for (const id of this.strays.keys()) if (!reported.has(id)) this.#unhosted(id, node);
  }

  // Indices.

  #count(shard: ShardEntry): void {
    shard.planned = plannedReplicas(shard, shard.operator);
    shard.plannedLeader = plannedLeader(shard, shard.operator);
    for (const { node, data } of shard.record.replicas) {
      const there = this.nodes.get(node);
      if (there === undefined) continue;
      there.shards.add(shard);
      if (data) this.#countMember(there, shard, 1);
    }
    this.#countPlanned(shard, 1);
  }

  /** The reverse, by what was counted. */
  #uncount(shard: ShardEntry): void {
    for (const { node, data } of shard.record.replicas) {
      const there = this.nodes.get(node);
      if (!there?.shards.delete(shard)) continue;
      if (data) this.#countMember(there, shard, -1);
    }
    this.#countPlanned(shard, -1);
  }

  #countMember(node: NodeEntry, { load, leader }: ShardEntry, sign: 1 | -1): void {
    if (load === undefined) return;
    node.memberBytes += sign * load.bytes;
    node.memberTraffic += sign * (load.writesPerSecond + (leader === node.record.id ? load.readsPerSecond : 0));
  }

  #countPlanned(shard: ShardEntry, sign: 1 | -1): void {
    const { load } = shard;
    for (const { node, data } of shard.planned) {
      const there = this.nodes.get(node);
      if (there === undefined) continue;
      there.replicas += sign;
      if (!data || load === undefined) continue;
      there.bytes += sign * load.bytes;
      there.traffic += sign * load.writesPerSecond;
    }
    const leader = this.nodes.get(shard.plannedLeader);
    if (leader === undefined) return;
    leader.leads += sign;
    leader.traffic += sign * (load?.readsPerSecond ?? 0);
  }

  #countCopies(operator: OperatorRecord, sign: 1 | -1): void {
    const { arriving, departing } = nodesTouched(operator);
    for (const id of arriving) {
      const node = this.nodes.get(id);
      if (node) node.arriving += sign;
    }
    for (const id of departing) {
      const node = this.nodes.get(id);
      if (node) node.departing += sign;
    }
  }

  #sizeUp(shard: ShardEntry): void {
    const size = sizeClassOf(shard, this.policy);
    if (size === shard.size) return;
    if (shard.size !== undefined) this.#sized.get(shard.size)!.delete(shard);
    if (size !== undefined) this.#sized.get(size)!.add(shard);
    shard.size = size;
  }

  #diagnoseTouched(): void {
    for (const pool of this.#stalePools) this.#poolChanged(pool);
    this.#stalePools.clear();
    for (const shard of this.#touched) {
      this.diagnoses++;
      this.#file(shard, diagnose(this, shard));
    }
    this.#touched.clear();
  }

  #file(shard: ShardEntry, ailment: Ailment | undefined): void {
    if (ailment === shard.ailment) return;
    if (shard.ailment !== undefined) this.#ailing.get(shard.ailment)!.delete(shard);
    if (ailment !== undefined) this.#ailing.get(ailment)!.add(shard);
    shard.ailment = ailment;
  }

  #eligibleFor(table: TableRecord): Eligible | undefined {
    const pool = table.id === SYSTEM_TABLE ? undefined : table.pool;
    if (this.#stalePools.delete(pool)) this.#poolChanged(pool);
    return this.#eligible.get(pool);
  }

  #poolChanged(pool: string | undefined): void {
    const example = { id: pool === undefined ? SYSTEM_TABLE : -1, pool: pool ?? '' };
    const nodes = [...this.nodes.values()]
      .filter(({ record }) => record.duty !== 'decommissioned' && isFor(record, example))
      .sort((a, b) => a.record.id - b.record.id);
    const counting = nodes.filter(({ record: { health, duty } }) => health !== 'down' && duty === 'active');
    const zones = new Set(counting.map(({ record }) => record.zone)).size;
    const before = this.#eligible.get(pool)?.zones;
    this.#eligible.set(pool, { nodes, zones });
    if (zones === before) return;
    for (const table of this.tables.values()) {
      if ((table.id === SYSTEM_TABLE ? undefined : table.pool) !== pool) continue;
      for (const shard of this.#order.of(table.id)) this.#touched.add(shard);
    }
  }
}

function isMember(shard: Shard, node: number): boolean {
  return shard.record.replicas.some((replica) => replica.node === node);
}
