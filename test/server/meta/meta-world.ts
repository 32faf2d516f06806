/**
 * A cluster of models around the real metaserver, in virtual time: nodes that attend (the real Attendance), carry orders out on groups that are a few lines of
 * state, and report what those are; META_GROUP as a store that is led by one node after another.
 *
 * What it does not model is Raft and data: groups agree at once, and a learner has caught up a moment after it was taken in.
 */
import { SparrowError } from '../../../base/errors.ts';
import { Attendance, SELF, type Whom } from '../../../server/meta/attendance.ts';
import type {
  FromNode,
  LeaderStream,
  LeaderStreamListener,
  NodePlace,
  NodeStreamListener,
  ShardReport,
  TableShare,
  ToNode,
} from '../../../server/meta/attending.ts';
import type { MetaEvent } from '../../../server/meta/lead.ts';
import { Metaserver } from '../../../server/meta/metaserver.ts';
import type { GivenOrder, Order, OrderOutcome } from '../../../server/meta/orders.ts';
import type { MetaReplica } from '../../../server/meta/store.ts';
import { decodeCommand } from '../../../server/node/command-codec.ts';
import { changed, type Configuration, isJoint, isVoter, membersOf, votersOnly } from '../../../server/raft/index.ts';
import { META_GROUP, FIRST_SHARD, type ShardDescriptor, SYSTEM_TABLE, wholeTable } from '../../../server/shard/descriptor.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const CLUSTER = '00000000000000aa';
const HOP_MS = 1;
const WORK_MS = 5;
const WRITE_MS = 2;
const CATCH_UP_MS = 40;

interface Group {
  descriptor: ShardDescriptor;
  configuration: Configuration;
  lastIndex: number;
  term: number;
  leader: number;
  /** Since when each node has its replica. */
  readonly hosts: Map<number, number>;
}

export interface WorldNode {
  readonly id: number;
  readonly zone: string;
  up: boolean;
  /** Reached by other nodes, though not by whoever leads the metaserver. */
  cutFromLeader: boolean;
  /** Another one: what was there is lost. */
  directoryId: string;
  attendance: Attendance | undefined;
  metaserver: Metaserver | undefined;
  nodes: readonly NodePlace[];
  /** Replicas that cannot be opened, and why. */
  readonly unopened: Map<number, string>;
  /** Of tables' quotas, as it was told last. */
  shares: readonly TableShare[];
  /** Whatever it was ordered, in order. */
  readonly ordered: Order[];
}

export class MetaWorld {
  readonly scheduler: SimScheduler = new SimScheduler();
  readonly nodes: Map<number, WorldNode> = new Map();
  readonly groups: Map<number, Group> = new Map();
  readonly events: MetaEvent[] = [];
  /** META_GROUP's store: engine keys, as hex, to values and versions. */
  readonly kv: Map<string, { key: Buffer; value: Buffer; version: number }> = new Map();
  readonly voters: readonly number[];
  /** Each order arrives twice. */
  twice = false;
  /** Called before an order is carried out: the moment for a failure. */
  beforeOrder: ((node: number, given: GivenOrder) => void) | undefined;
  #metaLeader = 0;
  #metaTerm = 0;
  /** A node that has led META_GROUP, and has not heard that another one does. */
  #unaware: { readonly node: number; readonly term: number } | undefined;
  #index = 0;
  readonly #leadListeners: Set<() => void> = new Set();
  readonly #streams: Set<() => void> = new Set();

  constructor(voters: readonly number[], zones: readonly string[] = ['a', 'b', 'c']) {
    this.voters = voters;
    for (const group of [FIRST_SHARD, META_GROUP]) {
      const descriptor = wholeTable(group, group === FIRST_SHARD ? 1 : SYSTEM_TABLE);
      const hosts = new Map(voters.map((id) => [id, 0]));
      this.groups.set(group, { descriptor, configuration: votersOnly(voters), lastIndex: 1, term: 1, leader: voters[0]!, hosts });
    }
    for (const [i, id] of voters.entries()) this.join(id, zones[i % zones.length]!);
  }

  get clock(): { wallMs: () => number; monotonicMs: () => number } {
    return { wallMs: () => 1_800_000_000_000 + this.scheduler.nowMs, monotonicMs: () => this.scheduler.nowMs };
  }

  get lead(): NonNullable<Metaserver['lead']> {
    const lead = this.nodes.get(this.#metaLeader)?.metaserver?.lead;
    if (lead === undefined) throw new Error('nobody leads the metaserver');
    return lead;
  }

  get metaLeader(): number {
    return this.#metaLeader;
  }

  /** A node starts, for the first time or again. */
  join(id: number, zone: string): WorldNode {
    const node: WorldNode = {
      id,
      zone,
      up: true,
      cutFromLeader: false,
      directoryId: `of node ${id}`,
      attendance: undefined,
      metaserver: undefined,
      nodes: [],
      unopened: new Map(),
      shares: [],
      ordered: [],
    };
    this.nodes.set(id, node);
    this.#start(node);
    return node;
  }

  restart(id: number): void {
    const node = this.nodes.get(id)!;
    node.up = true;
    this.#start(node);
    for (const group of this.groups.values()) this.#elect(group);
  }

  kill(id: number): void {
    const node = this.nodes.get(id)!;
    node.up = false;
    node.attendance?.close();
    node.metaserver?.close();
    node.metaserver = undefined;
    for (const group of this.groups.values()) this.#elect(group);
    if (this.#metaLeader === id) this.leadMeta(0);
  }

  /** From now on `node` leads META_GROUP; 0: nobody. */
  leadMeta(node: number): void {
    this.#metaLeader = node;
    this.#metaTerm++;
    const group = this.groups.get(META_GROUP)!;
    group.leader = node;
    group.term = this.#metaTerm;
    for (const listener of [...this.#leadListeners]) listener();
  }

  /** As `leadMeta`, and who led goes on believing that it does. */
  deposeMeta(node: number): void {
    this.#unaware = { node: this.#metaLeader, term: this.#metaTerm };
    this.leadMeta(node);
  }

  /** All streams between nodes and the metaserver break. */
  breakStreams(): void {
    for (const end of [...this.#streams]) end();
  }

  /** Runs until it is so; throws when it is not within `limitMs` of virtual time. */
  async until(reached: () => boolean, limitMs = 60_000, what = 'what was waited for'): Promise<void> {
    const endMs = this.scheduler.nowMs + limitMs;
    while (!reached()) {
      if (this.scheduler.nowMs > endMs) throw new Error(`${what} did not come about in ${limitMs} ms`);
      await this.scheduler.advance(5);
    }
  }

  /** Records of the topology, as they are written. */
  written(prefix: string): string[] {
    return [...this.kv.values()]
      .map(({ key }) => key.subarray(1).toString())
      .filter((key) => key.startsWith(prefix))
      .sort();
  }

  close(): void {
    for (const { attendance, metaserver } of this.nodes.values()) {
      attendance?.close();
      metaserver?.close();
    }
  }

  #start(node: WorldNode): void {
    const { scheduler, clock } = this;
    if (this.voters.includes(node.id)) {
      node.metaserver = new Metaserver({
        replica: this.#metaReplica(node),
        clock,
        scheduler,
        clusterId: CLUSTER,
        voters: this.voters,
        reportMs: 200,
        roundMs: 200,
        onEvent: (event) => this.events.push(event),
      });
    }
    node.attendance = new Attendance({
      clock,
      scheduler,
      registration: () => ({
        node: node.id,
        address: addressOf(node.id),
        peerAddress: `peer-${node.id}:1`,
        zone: node.zone,
        pool: 'default',
        role: 'all',
        clusterId: CLUSTER,
        labels: {},
        version: '1.0.0',
        incarnation: String(scheduler.nowMs),
        directoryId: node.directoryId,
        diskBytes: 1e12,
        cores: 4,
      }),
      load: () => ({
        diskUsedBytes: 1e9,
        diskFreeBytes: 1e12 - 1e9,
        cpu: 0.1,
        io: 0.1,
        ioBytesPerSecond: 4096,
        readsPerSecond: 0,
        writesPerSecond: 0,
        bytesPerSecond: 0,
        slowDisk: 1,
        snapshots: 0,
      }),
      shards: () => this.#hosted(node).map((group) => this.#report(group, node.id)),
      failed: () => [...node.unopened].map(([shard, why]) => ({ shard, why })),
      execute: (given) => this.#execute(node, given),
      leader: () =>
        node.metaserver === undefined || this.#metaLeader === 0
          ? undefined
          : this.#metaLeader === node.id
            ? SELF
            : addressOf(this.#metaLeader),
      known: () => this.voters.filter((id) => id !== node.id).map(addressOf),
      connect: (whom, listener) => this.#connect(node, whom, listener),
      reaches: (other) => Promise.resolve(this.nodes.get(other)?.up === true),
      onShares: (shares) => {
        node.shares = shares;
      },
      onNodes: (nodes) => {
        node.nodes = nodes;
      },
    });
  }

  #hosted({ id, unopened }: WorldNode): Group[] {
    return [...this.groups.values()].filter(({ descriptor, hosts }) => hosts.has(id) && !unopened.has(descriptor.shard));
  }

  #metaReplica(node: WorldNode): MetaReplica {
    return {
      stats: () => {
        const unaware = this.#unaware?.node === node.id ? this.#unaware : undefined;
        const leader = unaware?.node ?? this.#metaLeader;
        return { id: node.id, term: unaware?.term ?? this.#metaTerm, leader, role: leader === node.id ? 'leader' : 'follower' } as never;
      },
      lead: {
        onLeader: (listener) => {
          this.#leadListeners.add(listener);
          return () => this.#leadListeners.delete(listener);
        },
      },
      propose: (command) => this.#propose(node, command),
      read: () => this.#read(node),
      engine: { scanSync: ({ gte, lt }: { gte: Uint8Array; lt: Uint8Array }) => this.#scan(gte, lt), getSync: () => undefined } as never,
    };
  }

  #scan(gte: Uint8Array, lt: Uint8Array): [Buffer, Buffer][] {
    return [...this.kv.values()]
      .filter(({ key }) => Buffer.compare(key, gte) >= 0 && Buffer.compare(key, lt) < 0)
      .sort((a, b) => Buffer.compare(a.key, b.key))
      .map(({ key, value }) => [key, value]);
  }

  #propose(node: WorldNode, command: Uint8Array): ReturnType<MetaReplica['propose']> {
    const term = this.#metaTerm;
    return new Promise((resolve, reject) => {
      this.scheduler.after(WRITE_MS, () => {
        if (!node.up || this.#metaLeader !== node.id)
          return reject(new SparrowError('unavailable', 'LEADERSHIP_LOST', 'the lead was lost'));
        const decoded = decodeCommand(Buffer.from(command));
        if (decoded.kind !== 'write') return reject(new Error('only writes are made'));
        const failed = decoded.conditions.find(
          (condition) => condition.kind !== 'version' || this.kv.get(hex(condition.key))?.version !== condition.version,
        );
        if (failed !== undefined) return resolve({ outcome: 'condition-failed', condition: 0, value: undefined, version: 0 });
        const version = ++this.#index;
        for (const operation of decoded.operations) {
          const key = Buffer.from(operation.key);
          if (operation.type === 'put') this.kv.set(hex(key), { key, value: Buffer.from(operation.value), version });
          else this.kv.delete(hex(key));
        }
        // It was written, and the answer is lost with the lead.
        if (term !== this.#metaTerm) return reject(new SparrowError('unavailable', 'LEADERSHIP_LOST', 'the lead was lost'));
        return resolve({ outcome: 'applied', version });
      });
    });
  }

  /** Nobody confirms to who was replaced that it leads. */
  #read(node: WorldNode): Promise<void> {
    return new Promise((resolve, reject) => {
      this.scheduler.after(2 * HOP_MS, () => {
        if (node.up && this.#metaLeader === node.id) resolve();
        else reject(new SparrowError('rerouted', 'NOT_LEADER', 'another node leads', { leader: this.#metaLeader, applied: false }));
      });
    });
  }

  #connect(from: WorldNode, whom: Whom, listener: LeaderStreamListener): LeaderStream {
    const to = whom === SELF ? from : this.nodes.get(Number(/\d+/.exec(whom)![0]));
    let over = false;
    let theirs: NodeStreamListener | undefined;
    const end = (why: Error | undefined, leader?: string): void => {
      if (over) return;
      over = true;
      this.#streams.delete(breaks);
      theirs?.ended();
      this.scheduler.after(HOP_MS, () => listener.ended(why, leader), true);
    };
    const breaks = (): void => end(new Error('broken'));
    const reachable = (): boolean => from.up && to?.up === true && !(from.cutFromLeader && to !== from);
    this.scheduler.after(
      HOP_MS,
      () => {
        if (over) return;
        if (!reachable()) return end(new Error('unreachable'));
        try {
          if (to!.metaserver === undefined) throw new SparrowError('unavailable', 'NO_LEADER', 'no part of it');
          const stream = {
            send: (message: ToNode): void => {
              for (let i = 0; i < (this.twice && message.type === 'order' ? 2 : 1); i++)
                this.scheduler.after(HOP_MS, () => (over || !reachable() ? undefined : listener.receive(message)), true);
            },
            end: (why?: unknown): void => end(why instanceof Error ? why : undefined),
          };
          theirs = to!.metaserver.attend(stream);
        } catch (error) {
          const { details } = error as SparrowError;
          end(error as Error, typeof details['leader'] === 'number' && details['leader'] > 0 ? addressOf(details['leader']) : undefined);
        }
      },
      true,
    );
    this.#streams.add(breaks);
    return {
      send: (message: FromNode) => {
        this.scheduler.after(2 * HOP_MS, () => (over || !reachable() ? undefined : theirs?.receive(message)), true);
      },
      end: () => {
        over = true;
        this.#streams.delete(breaks);
        theirs?.ended();
      },
    };
  }

  #report(group: Group, node: number): ShardReport {
    const leads = group.leader === node;
    const nowMs = this.scheduler.nowMs;
    return {
      descriptor: group.descriptor,
      role: leads ? 'leader' : 'follower',
      term: group.term,
      leader: group.leader,
      configuration: group.configuration,
      configurationIndex: group.lastIndex,
      matches: leads
        ? membersOf(group.configuration).map((id) => {
            const since = group.hosts.get(id);
            return { node: id, match: since === undefined || nowMs - since < CATCH_UP_MS ? 0 : group.lastIndex };
          })
        : [],
      applied: group.lastIndex,
      lastIndex: group.lastIndex,
      diskBytes: 1e6,
      keysCount: 100,
      readsPerSecond: 0,
      writesPerSecond: 0,
      bytesPerSecond: 0,
      stoppedBecause: '',
    };
  }

  #execute(node: WorldNode, given: GivenOrder): Promise<OrderOutcome> {
    node.ordered.push(given.order);
    return new Promise((resolve) => {
      this.scheduler.after(
        WORK_MS,
        () => {
          this.beforeOrder?.(node.id, given);
          if (node.up) resolve(this.#carryOut(node.id, given.order));
        },
        true,
      );
    });
  }

  #carryOut(node: number, order: Order): OrderOutcome {
    const group = this.groups.get(order.type === 'create-replica' || order.type === 'describe' ? order.descriptor.shard : order.shard);
    if (order.type === 'create-replica') {
      const made = group ?? {
        descriptor: order.descriptor,
        configuration: votersOnly(order.voters),
        lastIndex: 1,
        term: 0,
        leader: 0,
        hosts: new Map(),
      };
      this.groups.set(order.descriptor.shard, made);
      if (!made.hosts.has(node)) made.hosts.set(node, this.scheduler.nowMs);
      this.#elect(made);
      return DONE;
    }
    if (order.type === 'destroy-replica') {
      group?.hosts.delete(node);
      if (group !== undefined) this.#elect(group);
      return DONE;
    }
    if (group === undefined || !group.hosts.has(node)) return refused('NO_REPLICA', true, 0);
    if (group.leader !== node) return refused('NOT_LEADER', true, group.leader);
    switch (order.type) {
      case 'change-members': {
        try {
          group.configuration = changed(group.configuration, order.change);
        } catch {
          // It was made already.
          return DONE;
        }
        group.lastIndex++;
        if (isJoint(group.configuration)) group.configuration = changed(group.configuration, { type: 'leave-joint' });
        this.#elect(group);
        return DONE;
      }
      case 'transfer':
        if (!group.hosts.has(order.to) || this.nodes.get(order.to)?.up !== true) return refused('NODE_UNREACHABLE', true, 0);
        group.leader = order.to;
        group.term++;
        return DONE;
      case 'split': {
        const { descriptor } = group;
        if (descriptor.epoch !== order.epoch || descriptor.keys.kind !== 'hash') return DONE;
        const { bits, index } = descriptor.keys;
        const epoch = descriptor.epoch + 1;
        const half = (at: number): ShardDescriptor['keys'] => ({ kind: 'hash', bits: bits + 1, index: at });
        group.descriptor = { ...descriptor, epoch, keys: half(index) };
        group.lastIndex++;
        const child = { ...descriptor, shard: order.child, epoch, keys: half(index + 2 ** bits) };
        this.groups.set(order.child, { ...group, descriptor: child, hosts: new Map(group.hosts) });
        return DONE;
      }
      case 'describe':
        group.descriptor = {
          ...group.descriptor,
          ttlMs: order.descriptor.ttlMs,
          inlineThreshold: order.descriptor.inlineThreshold,
          dropped: order.descriptor.dropped,
        };
        group.lastIndex++;
        return DONE;
      default:
        return refused('UNKNOWN', false, 0);
    }
  }

  /** A leader that is gone is followed by the first voter that is up, if a majority is. */
  #elect(group: Group): void {
    if (group.descriptor.shard === META_GROUP) return;
    const able = (id: number): boolean => this.nodes.get(id)?.up === true && group.hosts.has(id) && isVoter(group.configuration, id);
    if (group.leader !== 0 && able(group.leader)) return;
    const { voters } = group.configuration;
    const up = voters.filter(able);
    group.leader = up.length > voters.length / 2 ? up[0]! : 0;
    group.term++;
    if (group.leader !== 0) group.lastIndex++;
  }
}

export function addressOf(node: number): string {
  return `node-${node}:1`;
}

const DONE: OrderOutcome = { outcome: 'done' };

function refused(code: string, again: boolean, leader: number): OrderOutcome {
  return { outcome: 'refused', code, message: code, again, leader };
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex');
}
