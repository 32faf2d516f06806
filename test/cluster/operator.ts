/** What an operator does to a cluster under test, and waits for: shards split, merged and moved, nodes taken out. Through the metaserver, as `sparrowkv cluster` does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SparrowError } from '../../base/errors.ts';
import { type ClusterOperation, type ClusterSurvey, connectMeta, type MetaAdmin, type SurveyedShard } from '../../client/index.ts';
import { until } from './until.ts';

const CALL_MS = 10_000;
/** While an operator of the cluster's own is at work on a shard, or it was split less than a minute ago. */
const BEGIN_MS_MAX = 90_000;
const END_MS_MAX = 60_000;
const PAUSE_MS = 250;

export class Operator implements Disposable {
  readonly #meta: MetaAdmin;

  constructor(addresses: readonly string[]) {
    this.#meta = connectMeta(addresses, { timeoutMs: CALL_MS });
  }

  [Symbol.dispose](): void {
    this.#meta.close();
  }

  survey(): Promise<ClusterSurvey> {
    return this.#meta.survey({ endedOperators: 1000 });
  }

  /** In the order of their keys or indexes. */
  async shardsOf(table: string): Promise<readonly SurveyedShard[]> {
    const { tables, shards } = await this.survey();
    const { table: id } = tables.find(({ name }) => name === table)!;
    const mine = shards.filter(({ entry }) => entry!.table === id);
    return mine.toSorted((a, b) => orderOf(a).localeCompare(orderOf(b)));
  }

  /**
   * Settles when what it began has ended. `draw` says anew what to do whenever it is refused, since shards change by themselves as well. Throws when an operator fails.
   */
  async change(draw: () => Promise<ClusterOperation>): Promise<string> {
    const endMs = performance.now() + BEGIN_MS_MAX;
    for (;;) {
      const operation = await draw();
      try {
        const [began] = await this.#meta.operate({ operation, dryRun: false });
        // A node that is to leave is told of by what its replicas come to: operators that have yet to begin.
        return began === undefined || began.id === '' ? operation.$case : await this.#ended(began.id, operation.$case);
      } catch (error) {
        if (!(error instanceof SparrowError) || performance.now() > endMs) throw error;
        if (error.kind !== 'unavailable' && error.details['applied'] !== false) throw error;
        await sleep(PAUSE_MS);
      }
    }
  }

  /** Nothing is under way, every shard has as many voters as its table wants, all of them on nodes that are up, and a leader. */
  whole(msMax: number): Promise<ClusterSurvey> {
    let ails = '';
    return until('the cluster is not whole', msMax, async () => {
      const survey = await this.survey();
      ails = ailing(survey);
      return ails === '' ? survey : undefined;
    }).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}: ${ails}`, { cause: error });
    });
  }

  async #ended(id: string, name: string): Promise<string> {
    const operator = await until(`${name}, operator ${id}, does not end`, END_MS_MAX, async () => {
      const { ended } = await this.survey();
      return ended.find((each) => each.id === id);
    }).catch(async (error: unknown) => {
      const running = (await this.survey()).operators.find((each) => each.id === id);
      throw new Error(`${(error as Error).message}: ${JSON.stringify(running)}`, { cause: error });
    });
    const { state, shard, note } = operator;
    if (state !== 'done') throw new Error(`${name} of shard ${shard}, operator ${id}, ${state}: ${note}`);
    return `${name} of shard ${shard}`;
  }
}

function ailing({ operators, nodes, tables, shards }: ClusterSurvey): string {
  const [first] = operators;
  if (first !== undefined) return `operator ${first.id}, ${first.kind} of shard ${first.shard}: ${first.reason}; ${first.note}`;
  const up = new Set(nodes.filter(({ state }) => state === 'up').map(({ entry }) => entry!.node));
  for (const { entry } of shards) {
    const { shard, replicas, leader, table } = entry!;
    const wanted = tables.find((each) => each.table === table)?.replicas;
    const places = replicas.map(({ node }) => node);
    if (wanted !== undefined && places.length !== wanted) return `shard ${shard} has replicas on ${places.join()}, of ${wanted}`;
    if (places.some((node) => !up.has(node))) return `shard ${shard} on ${places.join()}, of which not all are up`;
    if (leader === 0) return `shard ${shard} has no leader`;
  }
  return '';
}

function orderOf({ entry }: SurveyedShard): string {
  const keys = entry!.keys!.keys!;
  return keys.$case === 'range' ? Buffer.from(keys.value.start).toString('hex') : String(keys.value.index).padStart(6, '0');
}
