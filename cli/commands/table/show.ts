/** `sparrowkv table list|show`. */
import type { Command } from 'commander';

import type { TableFacts } from '../../../client/index.ts';
import { durationText, type MetaOptions, sizeText, withMeta, withMetaOptions } from '../../meta-command.ts';
import { formatCount, plural } from '../../terminal/progress.ts';
import { table as columns } from '../../terminal/columns.ts';
import { shardsText } from '../../terminal/cluster-text.ts';

interface ListOptions extends MetaOptions {
  dropped?: boolean;
}

const SHARDS_MAX = 100;

export function addTableViews(table: Command): void {
  withMetaOptions(table.command('list').description('tell which tables there are'))
    .option('--dropped', 'and those that can be undeleted')
    .action((options: ListOptions) =>
      withMeta(options, async (meta) => {
        const tables = await meta.tables(options.dropped === true);
        return { found: tables, text: tablesText(tables) };
      }),
    );
  withMetaOptions(table.command('show').argument('<name>', 'of the table').description('tell all about a table, and its shards')).action(
    (name: string, options: MetaOptions) =>
      withMeta(options, async (meta) => {
        const { tables } = await meta.topology({ table: name });
        const survey = await meta.survey();
        const shards = survey.shards.filter(({ entry }) => entry?.table === tables[0]!.table);
        return { found: { ...tables[0], shards }, text: `${tableText(tables[0]!)}\n${shardsText(survey, shards, SHARDS_MAX)}` };
      }),
  );
}

/** A line for each. */
export function tablesText(tables: readonly TableFacts[]): string {
  const rows = tables.map((each) => [
    each.name,
    String(each.table),
    each.partitioning,
    String(each.shards),
    replicasText(each),
    each.pool,
    each.ttlMs === 0 ? '-' : durationText(each.ttlMs),
    each.durability,
    stateText(each),
  ]);
  return columns(['table', 'id', 'keys by', 'shards', 'replicas', 'pool', 'ttl', 'durability', 'state'], rows);
}

function stateText({ state, undeleteUntilMs }: TableFacts): string {
  if (state !== 'dropped') return state;
  return undeleteUntilMs === 0 ? 'dropped; is being destroyed' : `dropped; undelete until ${new Date(undeleteUntilMs).toISOString()}`;
}

/** A line for each field. */
export function tableText(facts: TableFacts): string {
  const { quotas } = facts;
  const bounds = [
    ...(quotas === undefined || quotas.bytes === 0 ? [] : [sizeText(quotas.bytes)]),
    ...(quotas === undefined || quotas.readsPerSecond === 0 ? [] : [`${formatCount(quotas.readsPerSecond)} reads/s`]),
    ...(quotas === undefined || quotas.writesPerSecond === 0 ? [] : [`${formatCount(quotas.writesPerSecond)} writes/s`]),
  ];
  const lines: readonly (readonly [string, string])[] = [
    ['table', `${facts.name} (id ${facts.table})`],
    ['keys by', facts.partitioning],
    ['shards', String(facts.shards)],
    ['replicas', replicasText(facts)],
    ['pool', facts.pool],
    ['ttl', facts.ttlMs === 0 ? 'none' : durationText(facts.ttlMs)],
    ['durability', facts.durability],
    ['inline up to', facts.inlineThreshold === 0 ? "the engine's default" : sizeText(facts.inlineThreshold)],
    ['quotas', bounds.join(', ') || 'none'],
    ['state', facts.state],
  ];
  return lines.map(([name, value]) => `${name.padEnd(14)}${value}\n`).join('');
}

function replicasText({ replicas, learners, witnesses }: TableFacts): string {
  return [
    String(replicas),
    ...(learners > 0 ? [plural(learners, 'learner')] : []),
    ...(witnesses > 0 ? [plural(witnesses, 'witness', 'witnesses')] : []),
  ].join(' + ');
}
