/**
 * Those who run a simulated cluster: they set by which bounds the metaserver decides, and now and then ask it for something - a split, merge, move, transfer, a node
 * that is to be drained and be used again later, one that is to leave for good, an operator that is to be given up. They ask whoever leads, by the verbs of Meta, and do not ask twice; what was
 * refused, or lost with a leader, is not done. Their last word is that of `end`: every node that has not left is to be used, and nothing to be split or merged any more.
 */
import { SparrowError } from '../../../base/errors.ts';
import type { MetaLead } from '../../../server/meta/lead.ts';
import { alterTable, createTable, dropTable, setPolicy, type TableSpec, undeleteTable } from '../../../server/meta/changes/index.ts';
import type { Policy } from '../../../server/meta/policy.ts';
import type { Shard } from '../../../server/meta/shard.ts';
import type { Change, ClusterState } from '../../../server/meta/state.ts';
import type { Durability, TablePartitioning } from '../../../server/meta/table.ts';
import { coversKey, DEFAULT_TABLE, SYSTEM_TABLE } from '../../../server/shard/descriptor.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimRandom } from '../sim-random.ts';
import type { World } from '../world.ts';
import type { ClusterNode, Operation } from './cluster-node.ts';
import { CALM, NODES, REPLICAS } from './cluster-plan.ts';

const PAUSE_MS_MAX = 300;
/** Longer than a run: a table that may be had back for so long stays, dropped. */
const KEPT_MS = 3_600_000;
const SETTLE_MS = 50;
const PATIENCE_MS = 1000;
const BY = 'people';
/** Of tables that are made. */
const PARTITIONINGS: readonly TablePartitioning[] = [
  { kind: 'hash', shards: 1 },
  { kind: 'hash', shards: 4 },
  { kind: 'range', splitKeys: [] },
  { kind: 'range', splitKeys: [Buffer.from('m')] },
];
/** Besides the one of the clients. */
const TABLES_MAX = 2;
/** How often something is asked about them. */
const TABLES_CHANCE = 0.15;
/** Where a node would be drained otherwise. */
const DECOMMISSION_CHANCE = 0.1;

export interface PeopleOptions {
  readonly policy: Partial<Policy>;
  /** Without merges versions of keys stay. */
  readonly merges: boolean;
  readonly splitKeys: readonly string[];
  /** The table has durability `os`. */
  readonly earlyAnswers: boolean;
  /** Other tables come and go. */
  readonly tables: boolean;
}

export class People {
  readonly #world: World;
  readonly #nodes: readonly SimNode[];
  readonly #random: SimRandom;
  readonly #options: PeopleOptions;
  #policy: Partial<Policy>;
  #working = false;
  #hasOneLeave = false;
  /** Until then an answer is waited for: whoever was asked may be gone. */
  #askingUntilMs = 0;

  constructor(world: World, nodes: readonly SimNode[], random: SimRandom, options: PeopleOptions) {
    this.#world = world;
    this.#nodes = nodes;
    this.#random = random;
    this.#options = options;
    this.#policy = { ...options.policy, ...(options.merges ? {} : { mergesMax: 0 }) };
    this.#settleOften();
  }

  begin(): void {
    this.#working = true;
    this.#next();
  }

  end(): void {
    this.#working = false;
    this.#policy = { ...this.#policy, ...CALM };
  }

  /** Who leads, of the newest term that anybody leads. */
  get leader(): ClusterNode | undefined {
    const leading = this.#nodes.map(({ program }) => program as ClusterNode | undefined).filter((program) => program !== undefined);
    const [first] = leading.sort((a, b) => b.leadsMetaserver!() - a.leadsMetaserver!());
    return first !== undefined && first.leadsMetaserver!() > 0 ? first : undefined;
  }

  get lead(): MetaLead | undefined {
    return this.leader?.metaserver?.lead;
  }

  get #durability(): Durability {
    return this.#options.earlyAnswers ? 'os' : 'synced';
  }

  /** What is not as they want it. */
  unsettled(state: ClusterState): string | undefined {
    for (const [field, value] of Object.entries(this.#policy))
      if (state.policy[field as keyof Policy] !== value) return `${field} is ${state.policy[field as keyof Policy]}`;
    const { durability } = state.tables.get(DEFAULT_TABLE)!;
    if (durability !== this.#durability) return `the table's durability is ${durability}`;
    if (this.#working) return undefined;
    for (const { record } of state.nodes.values())
      if (record.duty !== 'active' && record.duty !== 'decommissioned') return `node ${record.id} is ${record.duty}`;
    for (const { name, droppedAtMs, undeleteUntilMs } of state.tables.values())
      if (droppedAtMs > 0 && undeleteUntilMs < droppedAtMs + KEPT_MS) return `table ${name} is dropped, and still there`;
    return undefined;
  }

  #settleOften(): void {
    this.#world.scheduler.after(SETTLE_MS, () => {
      void this.#settle();
      this.#settleOften();
    });
  }

  async #settle(): Promise<void> {
    const { leader, lead } = this;
    const state = lead?.state;
    if (this.#world.nowMs < this.#askingUntilMs || state === undefined || this.unsettled(state) === undefined) return;
    this.#askingUntilMs = this.#world.nowMs + PATIENCE_MS;
    const draining = this.#working ? [] : [...state.nodes.values()].filter(({ record }) => record.duty === 'draining');
    for (const { record } of draining) await this.#ask(leader!, { $case: 'undrain', value: { node: record.id } });
    await lead!.change((now) => setPolicy(now, this.#policy)).catch(onlyRefusals);
    const alter = { durability: this.#durability };
    await lead!.change((now, nowMs) => alterTable(now, now.tables.get(DEFAULT_TABLE)!.name, alter, nowMs)).catch(onlyRefusals);
    this.#askingUntilMs = 0;
  }

  #next(): void {
    this.#world.scheduler.after(this.#random.fraction() * PAUSE_MS_MAX, () => {
      if (!this.#working) return;
      const { leader, lead } = this;
      if (lead?.state !== undefined && this.#options.tables && this.#random.chance(TABLES_CHANCE))
        void this.#changeTables(lead, lead.state);
      const operation = lead?.state === undefined ? undefined : this.#wish(lead.state);
      if (operation !== undefined) void this.#ask(leader!, operation);
      this.#next();
    });
  }

  async #ask(leader: ClusterNode, operation: Operation): Promise<void> {
    try {
      await leader.operate(operation);
      this.#world.counters.add(`people: ${operation.$case}`);
    } catch (error) {
      onlyRefusals(error);
      this.#world.counters.add(`people: not ${operation.$case}`);
    }
  }

  #wish(state: ClusterState): Operation | undefined {
    const random = this.#random;
    const shards = [...state.shards.values()].filter(({ leader, operator }) => leader !== 0 && operator === undefined);
    if (shards.length === 0) return undefined;
    const shard = random.pick(shards);
    const node = 1 + random.below(NODES.length);
    const dice = random.below(20);
    if (dice < 6) {
      const at = Buffer.from(random.pick(this.#options.splitKeys));
      return { $case: 'split', value: { shard: this.#shardOf(shards, at) ?? shard.id, at } };
    }
    const several = state.shardsOf(DEFAULT_TABLE);
    if (dice < 9 && this.#options.merges && several.length > 1)
      return { $case: 'merge', value: { shard: random.pick(several).id, with: 0 } };
    if (dice < 13) {
      const from = random.pick(shard.record.replicas).node;
      return { $case: 'move', value: { shard: shard.id, from, to: random.chance(0.5) ? 0 : node } };
    }
    if (dice < 16) return { $case: 'transfer', value: { shard: shard.id, to: random.chance(0.5) ? 0 : node } };
    if (dice < 17) {
      const [running] = state.running.keys();
      return running === undefined ? undefined : { $case: 'cancel', value: String(running) };
    }
    const nodes = [...state.nodes.values()];
    // With a machine that is lost three are left. What was asked for may not have come to be known yet.
    if (random.chance(DECOMMISSION_CHANCE) && !this.#hasOneLeave) {
      this.#hasOneLeave = true;
      return { $case: 'decommission', value: { node } };
    }
    const draining = nodes.find(({ record }) => record.duty === 'draining');
    if (draining !== undefined) return random.chance(0.5) ? { $case: 'undrain', value: { node: draining.record.id } } : undefined;
    return random.chance(0.4) ? { $case: 'drain', value: { node } } : undefined;
  }

  /** Tables that nobody writes to are made, dropped, and had back. */
  #changeTables(lead: MetaLead, { tables }: ClusterState): Promise<void> {
    const random = this.#random;
    const there = [...tables.values()].filter(({ id }) => id !== DEFAULT_TABLE && id !== SYSTEM_TABLE);
    if (there.length === 0 || (there.length < TABLES_MAX && random.chance(0.3))) {
      const spec: TableSpec = {
        name: `table${random.below(1000)}`,
        partitioning: random.pick(PARTITIONINGS),
        replicas: { voters: REPLICAS },
        durability: random.pick(['os', 'synced'] as const),
      };
      return this.#change('create table', lead, (state, nowMs) => createTable(state, spec, BY, nowMs));
    }
    const { name, droppedAtMs } = random.pick(there);
    if (droppedAtMs > 0) return this.#change('undelete table', lead, (state, nowMs) => undeleteTable(state, name, nowMs));
    const undeleteMs = random.pick([0, 500, KEPT_MS]);
    return this.#change('drop table', lead, (state, nowMs) => dropTable(state, name, nowMs, undeleteMs));
  }

  async #change(what: string, lead: MetaLead, make: (state: ClusterState, nowMs: number) => Change<unknown>): Promise<void> {
    try {
      await lead.change(make);
      this.#world.counters.add(`people: ${what}`);
    } catch (error) {
      onlyRefusals(error);
      this.#world.counters.add(`people: not ${what}`);
    }
  }

  #shardOf(shards: readonly Shard[], key: Uint8Array): number | undefined {
    return shards.find(({ record: { table, descriptor } }) => table === DEFAULT_TABLE && coversKey(descriptor.keys, key))?.id;
  }
}

function onlyRefusals(error: unknown): void {
  if (!(error instanceof SparrowError)) throw error;
}
