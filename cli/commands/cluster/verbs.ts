/** `sparrowkv cluster move|split|merge|cancel|release|pause|resume`: what an operator asks the metaserver to do. For nodes: leave.ts. */
import { setTimeout as pause } from 'node:timers/promises';

import type { Command } from 'commander';

import { type ClusterOperation, type MetaAdmin, SparrowError, type SurveyedOperator } from '../../../client/index.ts';
import { argumentBytes, type KeyOptions, withEscapesOption } from '../../client-command.ts';
import { type DryRunOptions, parseId, withDryRun, withMeta, withMetaOptions } from '../../meta-command.ts';
import { operatorText } from '../../terminal/cluster-text.ts';

const MOVE_HELP = `
A replica is made on the other node, catches up, and takes the vote of the one that goes; data are served
all the while. Without --to the best place by the rules is taken.

Examples:
  sparrowkv cluster move 16 --from 2 --to 4
  sparrowkv cluster move 16 --from 2 --wait
`;
const SPLIT_HELP = `
A range is divided at --at, or without it in the middle of its data, as samples tell. A shard of a hash
table is divided by the next bit of the hash. Nothing is copied.

Examples:
  sparrowkv cluster split 16
  sparrowkv cluster split 16 --at user/m --wait
`;
const MERGE_HELP = `
Two neighbours become one; what the smaller one has is copied. Writes to that one wait meanwhile, so this
is for small shards.

Examples:
  sparrowkv cluster merge 16 --with 17
`;
export interface VerbOptions extends DryRunOptions, KeyOptions {
  from?: number;
  to?: number;
  at?: string;
  with?: number;
  wait?: boolean;
}

const LOOK_MS = 500;

export function addVerbs(cluster: Command): void {
  verb(cluster, 'move', 'shard', 'move a replica to another node', MOVE_HELP)
    .requiredOption('--from <node>', 'the node that has it', parseId('node'))
    .option('--to <node>', 'the node that is to have it', parseId('node'))
    .option('--wait', 'until it is done')
    .action((shard: number, options: VerbOptions) =>
      operate(options, { $case: 'move', value: { shard, from: options.from!, to: options.to ?? 0 } }),
    );
  withEscapesOption(
    verb(cluster, 'split', 'shard', 'divide a shard in two', SPLIT_HELP).option('--at <key>', 'where the second one begins'),
    'the key',
  )
    .option('--wait', 'until it is done')
    .action((shard: number, options: VerbOptions) => {
      const at = options.at === undefined ? undefined : Buffer.from(argumentBytes(options.at, options));
      return operate(options, { $case: 'split', value: { shard, at } });
    });
  verb(cluster, 'merge', 'shard', 'make one shard of two neighbours', MERGE_HELP)
    .option('--with <shard>', 'the neighbour (default: the smaller one)', parseId('shard'))
    .option('--wait', 'until it is done')
    .action((shard: number, options: VerbOptions) => operate(options, { $case: 'merge', value: { shard, with: options.with ?? 0 } }));
  verb(cluster, 'cancel', 'operator', 'stop what is under way, at a point where the shard is whole').action(
    (id: number, options: VerbOptions) => operate(options, { $case: 'cancel', value: String(id) }, `operator ${id} is cancelled`),
  );
  verb(cluster, 'release', 'shard', 'have the metaserver look after a shard again whose members were changed by hand').action(
    (shard: number, options: VerbOptions) =>
      operate(options, { $case: 'release', value: shard }, `shard ${shard} is looked after by the metaserver`),
  );
  withMetaOptions(cluster.command('pause').description('decide nothing new; what is under way goes on')).action((options: VerbOptions) =>
    operate(options, { $case: 'pause', value: true }, 'nothing new is decided until "sparrowkv cluster resume"'),
  );
  withMetaOptions(cluster.command('resume').description('the end of pause')).action((options: VerbOptions) =>
    operate(options, { $case: 'pause', value: false }, 'the metaserver decides by itself'),
  );
}

export function verb(cluster: Command, name: string, what: string, description: string, help: string = ''): Command {
  const command = cluster
    .command(name)
    .argument(`<${what}>`, `id of the ${what}`, parseId(what))
    .description(description)
    .addHelpText('after', help);
  return withDryRun(withMetaOptions(command, 'what has begun, as JSON'));
}

/** `done`: what is so then, where that is no operator that begins. */
export async function operate(options: VerbOptions, operation: ClusterOperation, done: string = 'done'): Promise<void> {
  await withMeta(options, async (meta, signal) => {
    const dryRun = options.dryRun === true;
    let operators = await meta.operate({ operation, dryRun });
    if (options.wait === true && !dryRun) operators = await ended(meta, operators, signal);
    return { found: operators, text: outcome(operators, dryRun, done) };
  });
}

/** Of work that is waited for: Ctrl-C ends the wait, not the work. */
export function goesOnWithout(signal: AbortSignal): void {
  signal.addEventListener('abort', () => process.stderr.write('no longer waited for; it goes on: "sparrowkv cluster operators"\n'), {
    once: true,
  });
}

/** Waits for as long as it takes. */
async function ended(meta: MetaAdmin, began: readonly SurveyedOperator[], signal: AbortSignal): Promise<readonly SurveyedOperator[]> {
  goesOnWithout(signal);
  for (;;) {
    const survey = await meta.survey({ withoutShards: true, endedOperators: 1000 });
    const now = began.map((operator) => [...survey.operators, ...survey.ended].find(({ id }) => id === operator.id) ?? operator);
    const failed = now.find(({ state }) => state === 'failed' || state === 'cancelled');
    if (failed !== undefined) {
      const message = `operator ${failed.id} (${failed.kind} of shard ${failed.shard}) ${failed.state === 'failed' ? 'failed' : 'was cancelled'}: ${failed.note}`;
      throw new SparrowError('unavailable', 'OPERATOR_FAILED', message, { operator: failed.id });
    }
    if (now.every(({ state }) => state !== 'running')) return now;
    await pause(LOOK_MS, undefined, { signal });
  }
}

function outcome(operators: readonly SurveyedOperator[], dryRun: boolean, done: string): string {
  if (operators.length === 0) return dryRun ? `would be so: ${done}\n` : `${done}\n`;
  const head = dryRun ? 'would be done:\n\n' : '';
  const text = operators.map((operator) =>
    operator.state === 'running' || dryRun ? operatorText(operator, operator.beganMs) : endText(operator),
  );
  const running = !dryRun && operators.some(({ state }) => state === 'running');
  return `${head}${text.join('\n')}${running ? '\nunder way: sparrowkv cluster operators\n' : ''}`;
}

function endText({ id, kind, shard, other, state, note }: SurveyedOperator): string {
  const came = kind === 'split' && state === 'done' && other !== 0 ? `; shard ${other} has the rest` : '';
  return `${id} ${kind} of shard ${shard}: ${state}${came}${note === '' ? '' : `, ${note}`}\n`;
}
