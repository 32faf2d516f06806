/**
 * Lets a script drive a cluster and its metaserver (world.ts). Golden scripts (test/scripts/placement) are written in it:
 *
 *   policy FIELD=VALUE ...               bounds other than the defaults
 *   nodes A-B zones Z ... [OPTION=VALUE] nodes A to B, in these zones in turn; options disk (GiB), cores, pool, role
 *   table NAME hash N | range [KEY ...]  a table; options voters, learners, witnesses, pool, durability
 *   alter NAME OPTION=VALUE ...          voters, learners, witnesses, pool, durability, inline (bytes)
 *   drop NAME [undelete=MS], undelete NAME
 *   load SHARD FIELD=VALUE ...           what a shard has: mb, keys, reads, writes (each second); SHARD may be `all` or A-B
 *   node N FIELD=VALUE ...               what a node reports: cpu, io (0 to 1), slow (times as usual), used (GiB, by others)
 *   kill N ..., revive N ...             nodes stop, and run again with what they had
 *   deaf N, hear N                       the metaserver does not hear node N, others do
 *   drain N, undrain N, decommission N
 *   departures N                         where each replica of node N would go if it were drained, or why it stays
 *   move S FROM TO, transfer S TO, split S, merge S [WITH], cancel S
 *   lose S N                             node N has no replica of shard S any more, and is a member
 *   fail S N stopped|failed, heal S N    node N does not run its replica of shard S, and runs it again
 *   stray S N                            node N has a replica of shard S that it was a member with once
 *   halve S                              shard S is about to be split, and whoever was to split it is gone
 *   lead S N                             node N leads shard S, by an election
 *   failover [back=MS]                   another node leads the metaserver; its clock is behind
 *   plan                                 what would be begun now, with reasons and steps; nothing is
 *   tick [N]                             N seconds pass; what is decided in them is told
 *   wait SECONDS                         they pass; only what nodes become is told
 *   settle                               time passes until nothing is left to do; what was decided is told
 *   shards, state                        members and keys of shards; nodes with what they have
 */
import { alterTable, cancelOperator, dropTable, setPolicy, startOperators, undeleteTable } from '../../../server/meta/changes/index.ts';
import {
  askMerge,
  askMove,
  askSplit,
  askTransfer,
  departures,
  plan,
  type Plan,
  type Proposal,
  stepText,
} from '../../../server/meta/placement/index.ts';
import type { Policy } from '../../../server/meta/policy.ts';
import type { Durability } from '../../../server/meta/table.ts';
import { stateOf } from '../../../server/meta/node.ts';
import { bytesOf, kindOf } from '../../../server/meta/shard.ts';
import { checkRules } from './checks.ts';
import { type Group, World, type WorldNode } from './world.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const SETTLE_MAX = 2000;

export class ScriptWorld {
  #world = new World();
  #out: string[] = [];

  /** Runs one line; returns what happened. */
  execute(line: string): string {
    this.#out = [];
    const words = line.split(/\s+/);
    const [command = ''] = words;
    const plain = words.slice(1).filter((word) => !word.includes('='));
    const options = Object.fromEntries(words.filter((word) => word.includes('=')).map((word) => word.split('=') as [string, string]));
    try {
      this.#execute(command, plain, options);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      if (code === undefined) throw error;
      this.#out.push(`refused: ${code}: ${message}`);
    }
    return this.#out.length === 0 ? 'ok' : this.#out.join('\n');
  }

  #execute(command: string, words: readonly string[], options: Readonly<Record<string, string>>): void {
    const world = this.#world;
    const [a = 0, b = 0, c = 0] = words.map(Number);
    const numbers = words.map(Number);
    switch (command) {
      case 'policy':
        world.commit(
          setPolicy(
            world.cluster,
            Object.fromEntries(Object.entries(options).map(([name, value]) => [name, Number(value)])) as Partial<Policy>,
          ),
        );
        return;
      case 'nodes':
        return this.#nodes(words, options);
      case 'table':
        return this.#table(words, options);
      case 'alter':
        world.commit(
          alterTable(
            world.cluster,
            words[0]!,
            { ...tableFields(options), ...(options['inline'] && { inlineThreshold: Number(options['inline']) }) },
            world.nowMs,
          ),
        );
        return;
      case 'drop':
        world.commit(dropTable(world.cluster, words[0]!, world.nowMs, ...(options['undelete'] ? [Number(options['undelete'])] : [])));
        return;
      case 'undelete':
        world.commit(undeleteTable(world.cluster, words[0]!, world.nowMs));
        return;
      case 'load':
        return this.#load(words[0]!, options);
      case 'node':
        return this.#node(a, options);
      case 'kill':
        return numbers.forEach((node) => world.kill(node));
      case 'revive':
        return numbers.forEach((node) => world.revive(node));
      case 'deaf':
      case 'hear':
        world.nodes.get(a)!.heard = command === 'hear';
        return;
      case 'fail':
        return world.fail(a, b, words[2] as 'stopped' | 'failed');
      case 'heal':
        return world.fail(a, b, undefined);
      case 'drain':
        return world.setDuty(a, 'draining');
      case 'undrain':
        return world.setDuty(a, 'active');
      case 'decommission':
        return world.setDuty(a, 'decommissioning');
      case 'departures':
        for (const { shard, reason, stays } of departures(world.cluster, a, world.nowMs))
          this.#out.push(`shard ${shard} ${stays === '' ? reason : `stays: ${stays}`}`);
        return;
      case 'move':
        return this.#ask(askMove(world.cluster, a, b, c, world.nowMs));
      case 'transfer':
        return this.#ask(askTransfer(world.cluster, a, b, world.nowMs));
      case 'split':
        return this.#ask(askSplit(world.cluster, a, undefined, world.nowMs));
      case 'merge':
        return this.#ask(askMerge(world.cluster, a, b, world.nowMs));
      case 'cancel':
        world.commit(cancelOperator(world.cluster, world.cluster.shards.get(a)!.operator!.id, 'a person', world.nowMs));
        return;
      case 'lose':
        return world.lose(a, b);
      case 'stray':
        return world.stray(a, b);
      case 'halve':
        return world.halve(a);
      case 'lead':
        world.elect(a, b);
        return;
      case 'failover':
        return world.failOver(Number(options['back'] ?? 0));
      case 'plan':
        return this.#tell(plan(world.cluster, world.nowMs), true);
      case 'tick':
        for (let i = 0; i < (a || 1); i++) {
          world.tick();
          this.#tell(world.lastPlan, false);
        }
        return;
      case 'wait':
        for (let i = 0; i < a; i++) {
          world.tick();
          for (const { reason } of world.lastPlan.verdicts) this.#out.push(reason);
        }
        return;
      case 'settle':
        return this.#settle();
      case 'shards':
        return this.#shards();
      case 'state':
        return this.#state();
      default:
        throw new Error(`a script knows no command ${command}`);
    }
  }

  #nodes([range = '', , ...zones]: readonly string[], options: Readonly<Record<string, string>>): void {
    for (const [i, id] of span(range).entries()) {
      this.#world.addNode({
        id,
        zone: zones[i % zones.length]!,
        ...(options['disk'] && { diskBytes: Number(options['disk']) * GIB }),
        ...(options['cores'] && { cores: Number(options['cores']) }),
        ...(options['pool'] && { pool: options['pool'] }),
        ...(options['role'] && { role: options['role'] as WorldNode['role'] }),
      });
    }
    this.#world.tick(1000, false);
  }

  #table([name = '', kind, ...more]: readonly string[], options: Readonly<Record<string, string>>): void {
    const partitioning =
      kind === 'hash'
        ? ({ kind: 'hash', shards: Number(more[0]) } as const)
        : ({ kind: 'range', splitKeys: more.map((key) => Buffer.from(key)) } as const);
    this.#world.createTable({ name, partitioning, ...tableFields(options) });
    this.#world.ticks(5);
    this.#shards();
  }

  #load(which: string, options: Readonly<Record<string, string>>): void {
    const shards = which === 'all' ? [...this.#world.groups.keys()] : span(which);
    for (const shard of shards) {
      const group: Group = this.#world.groups.get(shard)!;
      if (options['mb']) group.bytes = Number(options['mb']) * MIB;
      for (const field of ['keys', 'reads', 'writes'] as const) if (options[field]) group[field] = Number(options[field]);
      this.#world.touch(shard);
    }
    this.#world.tick(1000, false);
  }

  #node(id: number, options: Readonly<Record<string, string>>): void {
    const node = this.#world.nodes.get(id)!;
    if (options['cpu']) node.cpu = Number(options['cpu']);
    if (options['io']) node.io = Number(options['io']);
    if (options['slow']) node.slowDisk = Number(options['slow']);
    if (options['used']) node.foreignBytes = Number(options['used']) * GIB;
    this.#world.tick(1000, false);
  }

  #ask(proposal: Proposal): void {
    this.#begun(proposal);
    for (const step of proposal.steps) this.#out.push(`    ${stepText(step)}`);
    this.#world.commit(startOperators(this.#world.cluster, [proposal], 'a person', this.#world.nowMs));
  }

  #settle(): void {
    const world = this.#world;
    const told = new Map<string, string>();
    for (let quiet = 0, ticks = 0; quiet < 5; ticks++) {
      if (ticks > SETTLE_MAX) throw new Error('the cluster does not come to rest');
      world.tick();
      for (const { reason } of world.lastPlan.verdicts) this.#out.push(reason);
      for (const each of world.lastPlan.proposals) {
        // The first of a kind for a shard tells the story.
        const key = `${each.kind} ${each.shard}`;
        if (!told.has(key)) this.#begun(each);
        told.set(key, each.reason);
      }
      quiet = world.cluster.running.size === 0 && world.lastPlan.proposals.length === 0 ? quiet + 1 : 0;
    }
    if (world.lastPlan.blocked.length === 0) checkRules(world);
    for (const { shard, reason } of world.lastPlan.blocked) this.#out.push(`cannot be done: shard ${shard}: ${reason}`);
  }

  #tell({ verdicts, probes, proposals, blocked, paused }: Plan, steps: boolean): void {
    if (paused !== undefined) this.#out.push(`waits: ${paused}`);
    for (const { node, peers } of probes) this.#out.push(`asks ${peers.join(', ')} whether they reach node ${node}`);
    for (const { reason } of verdicts) this.#out.push(reason);
    for (const proposal of proposals) {
      this.#begun(proposal);
      if (steps) for (const step of proposal.steps) this.#out.push(`    ${stepText(step)}`);
    }
    for (const { shard, reason } of blocked) this.#out.push(`cannot be done: shard ${shard}: ${reason}`);
  }

  #begun({ kind, shard, reason }: Proposal): void {
    this.#out.push(`${kind} shard ${shard}: ${reason}`);
  }

  #shards(): void {
    for (const [id, { record, leader, load, operator }] of this.#world.cluster.shards) {
      const { keys, epoch, state, durability } = record.descriptor;
      const range = (key: Uint8Array | undefined): string =>
        key === undefined ? 'end' : key.length === 8 ? Buffer.from(key).toString('hex').slice(0, 4) : Buffer.from(key).toString();
      const what = keys.kind === 'hash' ? `hash ${keys.bits}/${keys.index}` : `${range(keys.start)}..${range(keys.end)}`;
      const members = record.replicas.map(
        (replica) =>
          `${replica.node}${{ voter: '', learner: ' learner', witness: ' witness' }[kindOf(replica)]}${replica.node === leader ? ' leads' : ''}`,
      );
      this.#out.push(
        `shard ${id} of ${this.#world.cluster.tables.get(record.table)?.name}: ${what}, epoch ${epoch}${state === 'normal' ? '' : `, ${state}`}${durability === undefined ? '' : `, durability ${durability}`}, ${Math.round((load?.bytes ?? 0) / MIB)} MiB: ${members.join(', ')}${operator ? ` (${operator.kind})` : ''}`,
      );
    }
  }

  #state(): void {
    for (const node of this.#world.cluster.nodes.values()) {
      const mib = Math.round([...node.shards].reduce((sum, shard) => sum + bytesOf(shard), 0) / MIB);
      this.#out.push(
        `node ${node.record.id} (${node.record.zone}) ${stateOf(node)}: ${node.shards.size} replicas, ${mib} MiB, leads ${node.leads}`,
      );
    }
  }
}

function span(range: string): number[] {
  const [from = 0, to = from] = range.split('-').map(Number);
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function tableFields(options: Readonly<Record<string, string>>): Parameters<typeof alterTable>[2] {
  const counts = Object.fromEntries(
    ['voters', 'learners', 'witnesses'].filter((kind) => options[kind]).map((kind) => [kind, Number(options[kind])]),
  );
  const { pool, durability } = options;
  return {
    ...(Object.keys(counts).length > 0 && { replicas: counts }),
    ...(pool !== undefined && { pool }),
    ...(durability !== undefined && { durability: durability as Durability }),
  };
}
