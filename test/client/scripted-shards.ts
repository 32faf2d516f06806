/**
 * A scripted cluster (scripted-cluster.ts) with tables of several shards: shards that split, merge, move and change leaders, a metaserver whose map may be
 * old, and scans. Every shard is one state that its replicas share; who does not lead it, or was asked for another epoch or other keys, refuses as a server does.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import type { AnyCall } from '../../client/call.ts';
import type { Stubs } from '../../client/methods.ts';
import type { ShardKeys } from '../../client/shard-map.ts';
import {
  encodeShardNotes,
  type DeleteRangeRequest,
  type Leadership,
  type Operation,
  type RequestId,
  type ScanRequest,
  type TopologyResponse,
  type WriteRequest,
} from '../../proto/index.ts';
import { ScriptedCluster, type ScriptedConnection, type ScriptedNode } from './scripted-cluster.ts';
import { startScan } from './scripted-scan.ts';
import { bytesOf, entryOf, entryOfKey, isWhole, ScriptedShard, type ScriptedTable, textOf, within } from './scripted-shard.ts';

interface ShardRequest {
  shard?: number;
  epoch?: number;
  anyNode?: unknown;
  key?: Buffer;
  keys?: Buffer[];
  value?: Buffer;
  requestId?: RequestId;
}

export class ShardedCluster extends ScriptedCluster {
  readonly tables: Map<string, ScriptedTable> = new Map();
  readonly shards: Map<number, ScriptedShard> = new Map();
  /** Leads the metaserver. */
  metaLeader = 1;
  /** Maps that the metaserver gave. */
  topologies = 0;
  /** While set, the metaserver gives this instead of what is true. */
  oldTopology: TopologyResponse | undefined;
  /** Whether WRONG_SHARD tells what the node knows instead. */
  tellsShards = true;
  /** Entries in a chunk of a scan; keys of a run of a range delete. */
  chunkEntries = 3;
  /** By node id. */
  readonly zones: Map<number, string> = new Map();
  /** Calls by node id and shard: `2/17`. */
  readonly served: Map<string, number> = new Map();
  /** Called before each call is looked at: a script's place to change something. */
  before: (call: AnyCall | ScanRequest) => void = () => undefined;
  #version = 1;
  #nextShard = 16;
  #nextTable = 2;

  constructor(count: number, seed = 1) {
    super(count, seed);
    this.elect(1);
  }

  /** `replicas`: by shard, node ids, the leader first. Shards of a range table begin at `starts` beside the first. */
  rangeTable(name: string, starts: readonly string[], replicas: (shard: number) => number[]): ScriptedShard[] {
    const bounds = ['', ...starts, undefined];
    const table = this.#table(name, 'range');
    return bounds.slice(0, -1).map((start, i) => {
      const end = bounds[i + 1];
      const keys: ShardKeys = { kind: 'range', start: bytesOf(start!), end: end === undefined ? undefined : bytesOf(end) };
      return this.#add(new ScriptedShard(this.#shardId(), table, keys, 1, replicas(i)));
    });
  }

  /** `count`: a power of two. */
  hashTable(name: string, count: number, replicas: (shard: number) => number[]): ScriptedShard[] {
    const table = this.#table(name, 'hash');
    const bits = Math.log2(count);
    return Array.from({ length: count }, (_, index) =>
      this.#add(new ScriptedShard(this.#shardId(), table, { kind: 'hash', bits, index }, 1, replicas(index))),
    );
  }

  shardsOf(name: string): ScriptedShard[] {
    return [...this.shards.values()].filter(({ table }) => table.name === name);
  }

  /** The child. `at`: of a range. */
  split(shard: ScriptedShard, at = ''): ScriptedShard {
    const { keys } = shard;
    let theirs: ShardKeys;
    if (keys.kind === 'hash') {
      shard.keys = { kind: 'hash', bits: keys.bits + 1, index: keys.index };
      theirs = { kind: 'hash', bits: keys.bits + 1, index: keys.index + 2 ** keys.bits };
    } else {
      shard.keys = { kind: 'range', start: keys.start, end: bytesOf(at) };
      theirs = { kind: 'range', start: bytesOf(at), end: keys.end };
    }
    shard.epoch++;
    const child = this.#add(new ScriptedShard(this.#shardId(), shard.table, theirs, shard.epoch, [...shard.replicas], shard.version));
    child.leader = shard.leader;
    for (const [id, version] of shard.answers) child.answers.set(id, version);
    for (const [key, entry] of shard.data) {
      if (!child.has(key)) continue;
      child.data.set(key, entry);
      shard.data.delete(key);
    }
    this.#version++;
    return child;
  }

  /** `target` gets what `source` has. */
  merge(target: ScriptedShard, source: ScriptedShard): void {
    const [a, b] = [target.keys, source.keys];
    if (a.kind === 'hash') {
      assert(b.kind === 'hash' && a.bits === b.bits, 'halves of one parent are merged');
      target.keys = { kind: 'hash', bits: a.bits - 1, index: a.index % 2 ** (a.bits - 1) };
    } else {
      assert(b.kind === 'range', 'shards of one table are merged');
      const [low, high] = Buffer.compare(a.start, b.start) < 0 ? [a, b] : [b, a];
      target.keys = { kind: 'range', start: low.start, end: high.end };
    }
    target.epoch = Math.max(target.epoch, source.epoch) + 1;
    target.version = Math.max(target.version, source.version);
    for (const [id, version] of source.answers) target.answers.set(id, version);
    for (const [key, entry] of source.data) target.data.set(key, entry);
    this.shards.delete(source.id);
    this.#version++;
  }

  lead(shard: ScriptedShard, node: number): void {
    shard.leader = node;
    shard.term++;
    this.#version++;
  }

  moveTo(shard: ScriptedShard, replicas: number[]): void {
    shard.replicas = replicas;
    this.lead(shard, replicas[0]!);
  }

  /** All entries of a table. */
  entries(name: string): Map<string, string> {
    return new Map(this.shardsOf(name).flatMap(({ data }) => [...data].map(([key, { value }]): [string, string] => [key, value])));
  }

  /** As a node of the metaserver would tell now. */
  topology(name: string): TopologyResponse {
    const table = this.tables.get(name);
    if (table === undefined) throw new SparrowError('invalid', 'TABLE_UNKNOWN', `there is no table ${name}`, { applied: false });
    const places = this.shardsOf(name);
    return {
      version: this.#version,
      unchanged: false,
      nodes: this.nodes.map(({ id, address }) => ({
        node: id,
        address,
        peerAddress: '',
        zone: this.zones.get(id) ?? '',
        pool: '',
        role: 'all',
      })),
      tables: [{ table: table.id, name, partitioning: table.kind } as never],
      shards: places.map(entryOf),
    };
  }

  override answerOf(node: ScriptedNode, call: AnyCall): (() => unknown) | undefined {
    if (call.method.name === 'topology') return () => this.#topology(node, call.request as { table: string; knownVersion: number });
    const request = call.request as ShardRequest;
    if (request.shard === undefined && !this.tables.has('default')) return undefined;
    return () => {
      this.before(call);
      const shard = this.#shardFor(node, request, keysOf(call), call.method.writes);
      this.#count(node, shard);
      return this.#execute(shard, call);
    };
  }

  override leadershipOf(node: ScriptedNode, shard: number): Leadership {
    const known = this.shards.get(shard);
    return known === undefined || !known.replicas.includes(node.id)
      ? { leaderId: 0, term: 0 }
      : { leaderId: known.leader, term: known.term };
  }

  override stubsOf(connection: ScriptedConnection): Stubs {
    return { kv: { scan: (request: ScanRequest) => this.#scan(connection, request) } } as unknown as Stubs;
  }

  #scan(connection: ScriptedConnection, request: ScanRequest): unknown {
    const { scheduler, chunkEntries } = this;
    return startScan(connection, request, {
      scheduler,
      chunkEntries,
      shard: () => {
        this.before(request);
        const shard = this.#shardFor(connection.node, request as ShardRequest, [], false);
        this.#count(connection.node, shard);
        return shard;
      },
    });
  }

  #table(name: string, kind: 'range' | 'hash'): ScriptedTable {
    const table = { id: name === 'default' ? 1 : this.#nextTable++, name, kind };
    this.tables.set(name, table);
    this.#version++;
    return table;
  }

  #shardId(): number {
    return this.#nextShard++;
  }

  #add(shard: ScriptedShard): ScriptedShard {
    this.shards.set(shard.id, shard);
    return shard;
  }

  #topology(node: ScriptedNode, { table, knownVersion }: { table: string; knownVersion: number }): TopologyResponse {
    if (this.metaLeader === 0) throw new SparrowError('unavailable', 'NO_LEADER', 'nobody leads', { applied: false });
    if (node.id !== this.metaLeader) {
      const leaderAddress = this.node(this.metaLeader).address;
      throw new SparrowError('rerouted', 'NOT_LEADER', 'not me', { leader: this.metaLeader, leaderAddress, applied: false });
    }
    this.topologies++;
    const topology = this.oldTopology ?? this.topology(table);
    return topology.version === knownVersion
      ? { version: knownVersion, unchanged: true, nodes: [], tables: [], shards: [] }
      : structuredClone(topology);
  }

  /** The shard that serves this, or why none does. */
  #shardFor(node: ScriptedNode, request: ShardRequest, keys: readonly string[], writes: boolean): ScriptedShard {
    const here = [...this.shards.values()].filter(({ replicas }) => replicas.includes(node.id));
    const shard =
      request.shard === undefined
        ? here.find((one) => one.table.name === 'default' && keys.every((key) => one.has(key)) && (keys.length > 0 || isWhole(one)))
        : here.find(({ id }) => id === request.shard);
    const applied = false;
    if (shard === undefined) {
      if (request.shard === undefined)
        throw this.#wrong(
          1,
          here.filter(({ table }) => table.name === 'default'),
        );
      throw new SparrowError('rerouted', 'NO_REPLICA', 'not here', { shard: request.shard, applied });
    }
    if (shard.leader !== node.id && (writes || request.anyNode === undefined)) {
      const { leader, term } = shard;
      if (leader === 0) throw new SparrowError('unavailable', 'NO_LEADER', 'no leader', { shard: shard.id, applied });
      const leaderAddress = this.node(leader).address;
      throw new SparrowError('rerouted', 'NOT_LEADER', 'not me', { shard: shard.id, leader, term, leaderAddress, applied });
    }
    const epoch = request.epoch ?? shard.epoch;
    if (epoch !== shard.epoch || keys.some((key) => !shard.has(key)))
      throw this.#wrong(
        shard.id,
        here.filter(({ table }) => table === shard.table),
      );
    if (writes && shard.state === 'sealed') throw new SparrowError('unavailable', 'SHARD_SEALED', 'sealed', { shard: shard.id, applied });
    return shard;
  }

  #count(node: ScriptedNode, shard: ScriptedShard): void {
    const name = `${node.id}/${shard.id}`;
    this.served.set(name, (this.served.get(name) ?? 0) + 1);
  }

  #wrong(shard: number, instead: readonly ScriptedShard[]): SparrowError {
    const notes = instead.map(({ id, table, epoch, keys }) => ({ shard: id, table: table.id, epoch, keys }));
    const shards = this.tellsShards ? encodeShardNotes(notes) : '[]';
    return new SparrowError('rerouted', 'WRONG_SHARD', `shard ${shard} has other keys`, { shard, shards, applied: false });
  }

  #execute(shard: ScriptedShard, call: AnyCall): unknown {
    const request = call.request as ShardRequest;
    const { name } = call.method;
    if (name === 'get') return entryOfKey(shard, textOf(request.key!));
    if (name === 'multiGet') return { entries: request.keys!.map((key) => entryOfKey(shard, textOf(key))) };
    if (name === 'deleteRange') return this.#deleteRange(shard, call.request as DeleteRangeRequest);
    const id = `${Buffer.from(request.requestId!.client).toString('hex')}/${request.requestId!.sequence}`;
    let version = shard.answers.get(id);
    if (version === undefined) {
      shard.answers.set(id, (version = ++shard.version));
      shard.writes++;
      for (const { operation } of operationsOf(call)) {
        const key = textOf(operation!.value.key);
        if (operation!.$case === 'put') shard.data.set(key, { value: textOf(operation!.value.value), version });
        else shard.data.delete(key);
      }
    }
    return name === 'write' ? { applied: true, version, failed: undefined } : { version };
  }

  #deleteRange(shard: ScriptedShard, { range, cursor }: DeleteRangeRequest): unknown {
    const doomed = [...shard.data.keys()]
      .sort()
      .filter((key) => within(key, range) && key > textOf(cursor))
      .slice(0, this.chunkEntries);
    for (const key of doomed) shard.data.delete(key);
    const last = doomed.length === this.chunkEntries ? bytesOf(doomed.at(-1)!) : Buffer.alloc(0);
    return { deleted: doomed.length, cursor: last, version: ++shard.version };
  }
}

function keysOf({ method, request }: AnyCall): string[] {
  const keys = method.keys?.(request);
  return keys === undefined ? [] : keys instanceof Uint8Array ? [textOf(keys)] : keys.map(textOf);
}

function operationsOf({ method, request }: AnyCall): Operation[] {
  if (method.name === 'write') return (request as WriteRequest).operations;
  const { key, value } = request as { key: Buffer; value: Buffer };
  return [{ operation: method.name === 'put' ? { $case: 'put', value: { key, value } } : { $case: 'delete', value: { key } } }];
}
