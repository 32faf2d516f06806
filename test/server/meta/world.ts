/**
 * A cluster without disks and wires: nodes that report, groups that have members, leaders and keys, and the metaserver's pure core, which decides. What the
 * shell does (persist, order, ask peers) happens at once, in one thread, on a clock of its own, so that a thousand nodes take seconds.
 *
 * It minds what the real thing would: a change of members needs a majority and the leader; a replica that is a member is not destroyed, nor the last copy; a learner has nothing
 * until it was copied, at a bounded rate. What is broken throws at once (`WorldError`).
 */
import {
  alterTable,
  advanceOperators,
  createTable,
  orderEnded,
  registerNode,
  setDuty,
  setHealth,
  setPolicy,
  startOperators,
  takeReport,
  takeStrays,
} from '../../../server/meta/changes/index.ts';
import type { NodeLoadReport, NodeReport, ShardReport } from '../../../server/meta/attending.ts';
import type { TableSpec } from '../../../server/meta/changes/index.ts';
import { notAhead } from '../../../server/meta/clocks.ts';
import { Cluster } from '../../../server/meta/cluster.ts';
import { LENGTHENED_MAX, type Order } from '../../../server/meta/orders.ts';
import { ordersOf, type Plan, plan, stepOfOrder } from '../../../server/meta/placement/index.ts';
import { LOAD_WINDOW_MS } from '../../../server/meta/node.ts';
import type { Policy } from '../../../server/meta/policy.ts';
import type { OperatorRecord } from '../../../server/meta/operator.ts';
import type { Change, MetaWrite } from '../../../server/meta/state.ts';
import { changed, type Configuration, hasQuorum, isVoter, membersOf, votersOnly } from '../../../server/raft/index.ts';
import { type ShardDescriptor, type ShardKeys, withSettings } from '../../../server/shard/descriptor.ts';

export class WorldError extends Error {}

export interface WorldNode {
  readonly id: number;
  readonly zone: string;
  readonly pool: string;
  readonly role: 'all' | 'node' | 'meta';
  readonly diskBytes: number;
  readonly cores: number;
  alive: boolean;
  /** It is heard by the metaserver; peers may reach it all the same. */
  heard: boolean;
  /** What of its disk others use. */
  foreignBytes: number;
  /** What of its cores others use, 0 to 1. */
  foreignCpu: number;
  slowDisk: number;
  /** Instead of what its traffic makes of it. */
  cpu: number | undefined;
  io: number;
  registered: boolean;
  /** Its next report names all that it has. */
  full: boolean;
}

export interface Group {
  descriptor: ShardDescriptor;
  configuration: Configuration;
  leader: number;
  term: number;
  index: number;
  bytes: number;
  keys: number;
  reads: number;
  writes: number;
  /** Who has what: bytes copied so far; Infinity: all. */
  readonly copies: Map<number, number>;
  /** Who of them does not run it. */
  readonly failed: Map<number, 'stopped' | 'failed'>;
  imported: number | undefined;
}

/** Reads and writes each second that a core of a node can take: what its `cpu` says follows. */
export const CORE_RATE = 5000;

export class World {
  nowMs: number = 1_000_000;
  cluster: Cluster;
  readonly nodes: Map<number, WorldNode> = new Map();
  readonly groups: Map<number, Group> = new Map();
  /** A node takes so many bytes in at a tick. */
  copyBytesPerTick: number = 64 * 1024 * 1024;
  /** Leaders report reads as means, of the time before they led, too; as nodes do of their cores, always. */
  meanReads: boolean = false;
  /** What happened, for tests: copies that were begun, by kind of operator; leads that were moved. */
  readonly copies: Map<string, number> = new Map();
  transfers: number = 0;
  copiedBytes: number = 0;
  lastPlan: Plan = { verdicts: [], probes: [], proposals: [], blocked: [], paused: undefined, looked: 0 };
  /** Persisted: what a new leader of META_GROUP begins with. */
  readonly #stored: Map<string, MetaWrite> = new Map();
  /** By node: shards of which it reports something new. */
  readonly #dirtyOf: Map<number, Set<number>> = new Map();
  readonly #gone: Map<number, Set<number>> = new Map();
  readonly #hosted: Map<number, Set<number>> = new Map();
  readonly #copying: Set<number> = new Set();
  /** Bytes and rates of nodes of which nothing has changed since. */
  readonly #sums: Map<number, { readonly used: number; readonly rate: number }> = new Map();
  /** By node: the mean of its cores, and by shard that of the reads which it served. */
  readonly #means: Map<number, { cpu: number; readonly reads: Map<number, number> }> = new Map();

  constructor(policy: Partial<Policy> = {}) {
    this.cluster = new Cluster(this.nowMs);
    this.commit(setPolicy(this.cluster, policy));
  }

  addNode(node: Partial<WorldNode> & { readonly id: number }): WorldNode {
    const made: WorldNode = {
      zone: 'a',
      pool: 'default',
      role: 'all',
      diskBytes: 100 * 2 ** 30,
      cores: 8,
      alive: true,
      heard: true,
      foreignBytes: 0,
      foreignCpu: 0,
      slowDisk: 1,
      cpu: undefined,
      io: 0,
      registered: false,
      full: true,
      ...node,
    };
    this.nodes.set(made.id, made);
    this.#register(made);
    return made;
  }

  createTable(spec: TableSpec): number {
    return this.commit(createTable(this.cluster, spec, 'a test', this.nowMs)).table.id;
  }

  alterTable(name: string, fields: Parameters<typeof alterTable>[2]): void {
    this.commit(alterTable(this.cluster, name, fields, this.nowMs));
  }

  /** A group that is there already, with its record: what a cluster is made of before the story begins. */
  addGroup(descriptor: ShardDescriptor, voters: readonly number[], load: Partial<Group> = {}): Group {
    const group: Group = {
      descriptor,
      configuration: votersOnly(voters),
      leader: voters[0]!,
      term: 1,
      index: 10,
      bytes: 0,
      keys: 0,
      reads: 0,
      writes: 0,
      copies: new Map(voters.map((node) => [node, Infinity])),
      failed: new Map(),
      imported: undefined,
      ...load,
    };
    this.groups.set(descriptor.shard, group);
    for (const node of voters) this.#host(descriptor.shard, node);
    return group;
  }

  commit<Result>(change: Change<Result>): Result {
    for (const write of change.writes) this.#stored.set(`${write.kind}/${write.id}`, write);
    this.cluster.apply(change.writes);
    return change.result;
  }

  setDuty(id: number, duty: 'active' | 'draining' | 'decommissioning'): void {
    this.commit(setDuty(this.cluster, id, duty));
  }

  kill(id: number): void {
    this.nodes.get(id)!.alive = false;
    for (const shard of this.#hosted.get(id) ?? []) this.#elect(shard);
  }

  revive(id: number): void {
    const node = this.nodes.get(id)!;
    node.alive = true;
    node.full = true;
    node.registered = false;
    for (const shard of this.#hosted.get(id) ?? []) {
      const { failed } = this.groups.get(shard)!;
      if (failed.get(id) === 'stopped') failed.delete(id);
      this.#elect(shard);
    }
  }

  /** Another node leads META_GROUP from now on: what was persisted is all that it knows. Its clock is behind by so much. */
  failOver(backMs: number = 0): void {
    this.nowMs -= backMs;
    const stored = [...this.#stored.values()];
    this.cluster = new Cluster(this.nowMs);
    this.cluster.apply(stored.filter(({ record }) => record !== undefined).map((record) => notAhead(record, this.nowMs)));
    for (const node of this.nodes.values()) {
      node.full = true;
      node.registered = false;
    }
  }

  /** Everything that happens in a second; what was proposed begins. */
  tick(ms: number = 1000, decide: boolean = true): void {
    this.nowMs += ms;
    this.#copy();
    this.#average(Math.min(1, ms / LOAD_WINDOW_MS));
    for (const node of this.nodes.values()) if (node.alive && node.heard) this.#report(node);
    this.commit(advanceOperators(this.cluster, this.nowMs));
    if (decide) this.decide();
    for (const operator of [...this.cluster.running.values()]) this.#order(operator);
  }

  ticks(count: number, ms: number = 1000): void {
    for (let i = 0; i < count; i++) this.tick(ms);
  }

  decide(): void {
    this.commit(takeStrays(this.cluster, this.nowMs));
    const decided = plan(this.cluster, this.nowMs);
    this.lastPlan = decided;
    for (const { node, health, duty } of decided.verdicts) {
      if (health !== undefined) this.commit(setHealth(this.cluster, node, health, this.nowMs));
      if (duty !== undefined) this.commit(setDuty(this.cluster, node, duty));
    }
    for (const { node, peers } of decided.probes) {
      this.cluster.asked(node, peers, this.nowMs);
      for (const peer of peers) if (this.nodes.get(peer)!.alive) this.cluster.probed(node, peer, this.nodes.get(node)!.alive, this.nowMs);
    }
    const begun = this.commit(startOperators(this.cluster, decided.proposals, 'policy', this.nowMs));
    for (const { kind, steps } of begun) {
      for (const { type } of steps) {
        if (type === 'catch-up') this.copies.set(kind, (this.copies.get(kind) ?? 0) + 1);
        if (type === 'transfer' && (kind === 'lead' || kind === 'transfer')) this.transfers++;
      }
    }
  }

  /** A node has no replica of a shard, and does not know that it should. */
  lose(shard: number, node: number): void {
    this.#hosted.get(node)!.delete(shard);
    this.groups.get(shard)!.copies.delete(node);
    this.#sums.delete(node);
    this.#gone.set(node, (this.#gone.get(node) ?? new Set()).add(shard));
    this.#elect(shard);
  }

  /** A node does not run its replica any more; undefined: it does again. */
  fail(shard: number, node: number, how: 'stopped' | 'failed' | undefined): void {
    const group = this.groups.get(shard)!;
    if (how === undefined) group.failed.delete(node);
    else group.failed.set(node, how);
    this.touch(shard);
    this.#elect(shard);
  }

  /** A node has a replica of a shard that it is no member of any more. */
  stray(shard: number, node: number): void {
    this.groups.get(shard)!.copies.set(node, Infinity);
    this.#host(shard, node);
    this.tick(1000, false);
  }

  /** A split has been prepared, and nobody goes on with it. */
  halve(shard: number): void {
    const group = this.groups.get(shard)!;
    group.descriptor = { ...group.descriptor, state: 'splitting' };
    group.index++;
    this.touch(shard);
    this.tick(1000, false);
  }

  /** Something of it changed: its members report it. */
  touch(shard: number): void {
    for (const node of this.groups.get(shard)?.copies.keys() ?? []) {
      this.#sums.delete(node);
      const dirty = this.#dirtyOf.get(node);
      if (dirty) dirty.add(shard);
      else this.#dirtyOf.set(node, new Set([shard]));
    }
  }

  hostedBy(node: number): ReadonlySet<number> {
    return this.#hosted.get(node) ?? new Set();
  }

  // Nodes.

  #register(node: WorldNode): void {
    this.commit(
      registerNode(
        this.cluster,
        {
          node: node.id,
          address: `h${node.id}:7100`,
          peerAddress: `h${node.id}:7200`,
          zone: node.zone,
          pool: node.pool,
          role: node.role,
          clusterId: '0123456789abcdef',
          labels: {},
          version: '1',
          incarnation: '1',
          directoryId: `d${node.id}`,
          diskBytes: node.diskBytes,
          cores: node.cores,
        },
        this.nowMs,
      ),
    );
    node.registered = true;
  }

  #report(node: WorldNode): void {
    if (!node.registered) this.#register(node);
    const hosted = this.#hosted.get(node.id) ?? new Set();
    const told = node.full ? [...hosted] : [...(this.#dirtyOf.get(node.id) ?? [])].filter((shard) => hosted.has(shard));
    const isOpen = (shard: number): boolean => this.groups.get(shard)!.failed.get(node.id) !== 'failed';
    const shards = told.filter(isOpen).map((shard) => this.#shardReport(node.id, shard));
    const failed = told.filter((shard) => !isOpen(shard)).map((shard) => ({ shard, why: 'the disk does not read' }));
    const gone = [...(this.#gone.get(node.id) ?? [])];
    this.#gone.delete(node.id);
    const report: NodeReport = { sequence: 1, load: this.#load(node), shards, failed, full: node.full, gone };
    node.full = false;
    this.#dirtyOf.delete(node.id);
    this.commit(takeReport(this.cluster, report, this.nowMs));
    this.cluster.observe(node.id, report, this.nowMs);
  }

  #load(node: WorldNode): NodeLoadReport {
    const { used, rate } = this.#used(node.id);
    return {
      diskUsedBytes: used,
      diskFreeBytes: Math.max(0, node.diskBytes - used - node.foreignBytes),
      cpu: node.cpu ?? this.#means.get(node.id)?.cpu ?? this.#cpu(node),
      io: node.io,
      ioBytesPerSecond: 4096,
      readsPerSecond: 0,
      writesPerSecond: rate,
      bytesPerSecond: 0,
      slowDisk: node.slowDisk,
      snapshots: 0,
    };
  }

  #cpu(node: WorldNode): number {
    return Math.min(1, node.foreignCpu + this.#used(node.id).rate / (node.cores * CORE_RATE));
  }

  /** `part` of what is now. */
  #average(part: number): void {
    for (const node of this.nodes.values()) {
      const means = this.#means.get(node.id) ?? { cpu: this.#cpu(node), reads: new Map<number, number>() };
      this.#means.set(node.id, means);
      means.cpu += part * (this.#cpu(node) - means.cpu);
      if (!this.meanReads) continue;
      for (const shard of this.#hosted.get(node.id) ?? []) {
        const { leader, reads } = this.groups.get(shard)!;
        const now = leader === node.id ? reads : 0;
        const before = means.reads.get(shard) ?? 0;
        means.reads.set(shard, before + part * (now - before));
      }
    }
    if (this.meanReads) for (const shard of this.groups.keys()) this.touch(shard);
  }

  #used(node: number): { readonly used: number; readonly rate: number } {
    const known = this.#sums.get(node);
    if (known !== undefined) return known;
    let used = 0;
    let rate = 0;
    for (const shard of this.#hosted.get(node) ?? []) {
      const group = this.groups.get(shard)!;
      used += Math.min(group.bytes, group.copies.get(node) ?? 0);
      rate += group.writes + (group.leader === node ? group.reads : 0);
    }
    const sums = { used, rate };
    this.#sums.set(node, sums);
    return sums;
  }

  #shardReport(node: number, shard: number): ShardReport {
    const group = this.groups.get(shard)!;
    const whole = group.copies.get(node) === Infinity;
    const leads = group.leader === node;
    return {
      descriptor: group.descriptor,
      role: group.failed.has(node) ? 'stopped' : leads ? 'leader' : 'follower',
      term: group.term,
      leader: group.leader,
      configuration: group.configuration,
      configurationIndex: whole ? group.index : 0,
      matches: leads
        ? membersOf(group.configuration).map((member) => ({ node: member, match: group.copies.get(member) === Infinity ? group.index : 0 }))
        : [],
      applied: whole ? group.index : 0,
      lastIndex: group.index,
      diskBytes: group.bytes,
      keysCount: group.keys,
      readsPerSecond: (this.meanReads ? this.#means.get(node)?.reads.get(shard) : undefined) ?? group.reads,
      writesPerSecond: group.writes,
      bytesPerSecond: group.writes * 100,
      stoppedBecause: group.failed.has(node) ? 'the disk does not write' : '',
    };
  }

  // Groups.

  #host(shard: number, node: number): void {
    const hosted = this.#hosted.get(node) ?? new Set();
    this.#hosted.set(node, hosted.add(shard));
    this.touch(shard);
  }

  /** A node leads a shard from now on, for whatever reason. */
  elect(shard: number, node: number): void {
    const group = this.groups.get(shard)!;
    group.leader = node;
    group.term++;
    group.index++;
    this.touch(shard);
    this.tick(1000, false);
  }

  #alive(node: number): boolean {
    return this.nodes.get(node)?.alive === true;
  }

  #runs(group: Group, node: number): boolean {
    return this.#alive(node) && group.copies.has(node) && !group.failed.has(node);
  }

  #elect(shard: number): void {
    const group = this.groups.get(shard)!;
    const up = (node: number): boolean => this.#runs(group, node);
    if (group.leader !== 0 && up(group.leader)) return;
    this.touch(shard);
    group.leader = 0;
    if (!hasQuorum(group.configuration, up)) return;
    const able = membersOf(group.configuration).filter(
      (node) =>
        up(node) &&
        isVoter(group.configuration, node) &&
        !group.configuration.witnesses.includes(node) &&
        group.copies.get(node) === Infinity,
    );
    if (able.length === 0) return;
    group.term++;
    group.index++;
    group.leader = able[group.term % able.length]!;
  }

  /** Learners of groups that have a leader get what they lack, a node so much in a tick. */
  #copy(): void {
    const budget = new Map<number, number>();
    for (const shard of this.#copying) {
      const group = this.groups.get(shard);
      let lacking = 0;
      for (const [node, copied] of group?.copies ?? []) {
        if (copied === Infinity || !membersOf(group!.configuration).includes(node)) continue;
        // Whoever leads next goes on with it.
        if (group!.leader === 0 || !this.#runs(group!, node)) {
          lacking++;
          continue;
        }
        const left = budget.get(node) ?? this.copyBytesPerTick;
        const wanted = group!.configuration.witnesses.includes(node) ? 0 : group!.bytes - copied;
        const step = Math.min(left, wanted);
        budget.set(node, left - step);
        this.copiedBytes += step;
        group!.copies.set(node, step >= wanted ? Infinity : copied + step);
        if (step < wanted) lacking++;
        else this.touch(shard);
      }
      if (lacking === 0) this.#copying.delete(shard);
    }
  }

  // Orders.

  #order(operator: OperatorRecord): void {
    for (const { node, id, order } of ordersOf(this.cluster, operator)) {
      const there = this.nodes.get(node)!;
      if (!there.alive || !there.heard) continue;
      const done = this.#carryOut(node, order);
      const place = stepOfOrder(id);
      // What a step needs besides is seen in reports.
      if (place === undefined) continue;
      const { operator: of, at } = place;
      if (done !== false) this.commit(orderEnded(this.cluster, of, at, done === true ? undefined : done, this.nowMs));
    }
  }

  /** True: done; false: not now; a text: refused for good. */
  #carryOut(node: number, order: Order): boolean | string {
    switch (order.type) {
      case 'create-replica':
        return this.#create(node, order.descriptor, order.voters);
      case 'destroy-replica':
        return this.#destroy(node, order.shard);
      case 'describe': {
        const group = this.#led(order.descriptor.shard, node);
        if (group === undefined) return false;
        return this.#redescribe(group, withSettings(group.descriptor, order.descriptor));
      }
      default:
    }
    const group = this.#led(order.shard, node);
    if (group === undefined) return false;
    switch (order.type) {
      case 'change-members': {
        const before = membersOf(group.configuration);
        group.configuration = changed(group.configuration, order.change);
        if (order.change.type === 'enter-joint' && order.change.autoLeave)
          group.configuration = changed(group.configuration, { type: 'leave-joint' });
        for (const member of membersOf(group.configuration))
          if (!before.includes(member) && !group.copies.has(member))
            throw new WorldError(`shard ${order.shard}: node ${member} became a member and has no replica`);
        if ([...group.copies.values()].some((copied) => copied !== Infinity)) this.#copying.add(order.shard);
        group.index++;
        this.touch(order.shard);
        if (!isVoter(group.configuration, group.leader)) {
          group.leader = 0;
          this.#elect(order.shard);
        }
        return true;
      }
      case 'transfer':
        if (group.copies.get(order.to) !== Infinity || !isVoter(group.configuration, order.to) || !this.#runs(group, order.to))
          return false;
        group.leader = order.to;
        group.term++;
        group.index++;
        this.touch(order.shard);
        return true;
      case 'split':
        return this.#split(group, order.epoch, order.child);
      case 'seal':
        return this.#redescribe(group, { ...group.descriptor, state: 'sealed' });
      case 'unseal':
        return this.#redescribe(group, { ...group.descriptor, state: 'normal' });
      case 'retire':
        if (group.descriptor.state !== 'sealed') throw new WorldError(`shard ${order.shard} is retired and was not sealed`);
        return this.#redescribe(group, { ...group.descriptor, state: 'retired' });
      case 'absorb':
        return this.#absorb(group, node, order.source.shard, order.commit);
      case 'forget':
        group.imported = undefined;
        return true;
    }
  }

  #led(shard: number, node: number): Group | undefined {
    const group = this.groups.get(shard);
    return group?.leader === node && hasQuorum(group.configuration, (member) => this.#runs(group, member)) ? group : undefined;
  }

  #redescribe(group: Group, descriptor: ShardDescriptor): boolean {
    group.descriptor = descriptor;
    group.index++;
    this.touch(descriptor.shard);
    return true;
  }

  #create(node: number, descriptor: ShardDescriptor, voters: readonly number[]): boolean {
    const group = this.groups.get(descriptor.shard);
    if (group === undefined) {
      if (voters.length === 0) return false;
      this.addGroup(descriptor, voters, { leader: 0, copies: new Map([[node, Infinity]]) });
      for (const other of voters) if (other !== node) this.#hosted.get(other)?.delete(descriptor.shard);
    } else if (!group.copies.has(node)) {
      group.copies.set(node, voters.includes(node) ? Infinity : 0);
      // Of a member: it is filled at once.
      this.#copying.add(descriptor.shard);
      this.#host(descriptor.shard, node);
    }
    this.#elect(descriptor.shard);
    return true;
  }

  #destroy(node: number, shard: number): boolean {
    const group = this.groups.get(shard);
    const hosted = this.#hosted.get(node);
    if (group === undefined || !hosted?.has(shard)) return true;
    const isMember = membersOf(group.configuration).includes(node);
    const record = this.cluster.shards.get(shard);
    const isOver =
      group.descriptor.state === 'retired' || record === undefined || (this.cluster.tables.get(record.record.table)?.droppedAtMs ?? 1) > 0;
    const sound = [...group.copies].filter(([other, copied]) => other !== node && copied === Infinity && !group.failed.has(other));
    if (!isOver && sound.length === 0) throw new WorldError(`shard ${shard}: the last copy is destroyed, on node ${node}`);
    // A learner that its leader has taken in, unheard, has no vote: it is made anew, and filled.
    const isUnheard = record?.record.replicas.every((replica) => replica.node !== node) === true && !isVoter(group.configuration, node);
    if (isMember && !isOver && !isUnheard)
      throw new WorldError(`shard ${shard}: the replica on node ${node} is destroyed, and is a member`);
    hosted.delete(shard);
    group.copies.delete(node);
    group.failed.delete(node);
    this.#sums.delete(node);
    const gone = this.#gone.get(node) ?? new Set();
    this.#gone.set(node, gone.add(shard));
    if (group.copies.size === 0) this.groups.delete(shard);
    return true;
  }

  #split(group: Group, epoch: number, child: number): boolean {
    if (group.descriptor.epoch !== epoch) return false;
    const [own, others] = halves(group.descriptor.keys);
    const descriptor = { ...group.descriptor, epoch: epoch + 1, keys: own };
    const half = { bytes: group.bytes / 2, keys: group.keys / 2, reads: group.reads / 2, writes: group.writes / 2 };
    Object.assign(group, half);
    this.#redescribe(group, descriptor);
    const members = membersOf(group.configuration);
    this.addGroup({ ...descriptor, shard: child, keys: others }, members, {
      ...half,
      configuration: group.configuration,
      leader: group.leader,
      index: group.index,
      copies: new Map([...group.copies].filter(([node]) => members.includes(node))),
    });
    return true;
  }

  #absorb(target: Group, node: number, source: number, commit: boolean): boolean | string {
    const from = this.groups.get(source);
    if (from === undefined) return false;
    if (!commit) {
      if (from.leader !== node || from.descriptor.state !== 'sealed') return false;
      if (from.index - target.index > LENGTHENED_MAX) return `shard ${source} has the longer log`;
      target.index = Math.max(target.index, from.index);
      target.imported = source;
      return true;
    }
    if (target.imported !== source || from.descriptor.state !== 'retired')
      throw new WorldError(`shard ${source} is committed and was not imported`);
    target.imported = undefined;
    target.bytes += from.bytes;
    target.keys += from.keys;
    target.reads += from.reads;
    target.writes += from.writes;
    const epoch = Math.max(target.descriptor.epoch, from.descriptor.epoch) + 1;
    return this.#redescribe(target, { ...target.descriptor, epoch, keys: united(target.descriptor.keys, from.descriptor.keys) });
  }
}

/** A range of numbers of 8 bytes in its middle; a hash by its next bit. */
export function halves(keys: ShardKeys): [ShardKeys, ShardKeys] {
  if (keys.kind === 'hash') {
    const { bits, index } = keys;
    return [
      { kind: 'hash', bits: bits + 1, index },
      { kind: 'hash', bits: bits + 1, index: index + 2 ** bits },
    ];
  }
  const low = keys.start.length === 0 ? 0n : numberOf(keys.start);
  const high = keys.end === undefined ? 1n << 64n : numberOf(keys.end);
  const middle = numberKey((low + high) / 2n);
  return [
    { ...keys, end: middle },
    { ...keys, start: middle },
  ];
}

/** The first 8 bytes of a key, as a number. */
function numberOf(key: Uint8Array): bigint {
  return Buffer.concat([key, Buffer.alloc(8)]).readBigUInt64BE();
}

export function numberKey(number: bigint): Uint8Array {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(number);
  return Uint8Array.from(key);
}

function united(a: ShardKeys, b: ShardKeys): ShardKeys {
  if (a.kind === 'hash') return { kind: 'hash', bits: a.bits - 1, index: a.index & (2 ** (a.bits - 1) - 1) };
  if (b.kind === 'hash') throw new WorldError('a hash shard is merged with a range');
  const first = Buffer.compare(a.start, b.start) < 0;
  return { kind: 'range', start: first ? a.start : b.start, end: first ? b.end : a.end };
}
