/** `sparrowkv cluster move|split|merge|drain|undrain|decommission|cancel|release|pause|resume`: what an operator asks the metaserver to do. */
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
const DRAIN_HELP = `
For long work on a machine: all replicas and leads move to other nodes, and it gets none until "undrain".
For a short restart stop it in order: it hands its leads over by itself.

Examples:
  sparrowkv cluster drain 3 --wait
  sparrowkv cluster undrain 3
`;
const DECOMMISSION_HELP = `
As drain, for good: when the last replica has gone, the node is no part of the cluster any more and can be
stopped; its id is not used again. "undrain" calls it back as long as it is under way.

Examples:
  sparrowkv cluster decommission 3 --dry-run
  sparrowkv cluster decommission 3 --wait
`;

interface VerbOptions extends DryRunOptions, KeyOptions {
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
  verb(cluster, 'drain', 'node', 'move everything away from a node, before its machine is worked on', DRAIN_HELP)
    .option('--wait', 'until it has nothing any more')
    .action((node: number, options: VerbOptions) =>
      operate(options, { $case: 'drain', value: { node } }, (meta) => hasNothing(meta, node)),
    );
  verb(cluster, 'undrain', 'node', 'the end of drain and decommission', DRAIN_HELP).action((node: number, options: VerbOptions) =>
    operate(options, { $case: 'undrain', value: { node } }),
  );
  verb(cluster, 'decommission', 'node', 'move everything away from a node, for good', DECOMMISSION_HELP)
    .option('--wait', 'until it has nothing any more')
    .action((node: number, options: VerbOptions) =>
      operate(options, { $case: 'decommission', value: { node } }, (meta) => hasNothing(meta, node)),
    );
  verb(cluster, 'cancel', 'operator', 'stop what is under way, at a point where the shard is whole').action(
    (id: number, options: VerbOptions) => operate(options, { $case: 'cancel', value: String(id) }),
  );
  verb(cluster, 'release', 'shard', 'have the metaserver look after a shard again whose members were changed by hand').action(
    (shard: number, options: VerbOptions) => operate(options, { $case: 'release', value: shard }),
  );
  withMetaOptions(cluster.command('pause').description('decide nothing new; what is under way goes on')).action((options: VerbOptions) =>
    operate(options, { $case: 'pause', value: true }),
  );
  withMetaOptions(cluster.command('resume').description('the end of pause')).action((options: VerbOptions) =>
    operate(options, { $case: 'pause', value: false }),
  );
}

function verb(cluster: Command, name: string, what: string, description: string, help: string = ''): Command {
  const command = cluster
    .command(name)
    .argument(`<${what}>`, `id of the ${what}`, parseId(what))
    .description(description)
    .addHelpText('after', help);
  return withDryRun(withMetaOptions(command, 'what has begun, as JSON'));
}

async function operate(options: VerbOptions, operation: ClusterOperation, reached?: (meta: MetaAdmin) => Promise<boolean>): Promise<void> {
  await withMeta(options, async (meta, signal) => {
    const dryRun = options.dryRun === true;
    let operators = await meta.operate({ operation, dryRun });
    if (options.wait === true && !dryRun) operators = await ended(meta, operators, signal, reached);
    return { found: operators, text: outcome(operators, dryRun) };
  });
}

/** Waits for as long as it takes; Ctrl-C ends the wait, not the work. */
async function ended(
  meta: MetaAdmin,
  began: readonly SurveyedOperator[],
  signal: AbortSignal,
  reached: ((meta: MetaAdmin) => Promise<boolean>) | undefined,
): Promise<readonly SurveyedOperator[]> {
  for (;;) {
    const survey = await meta.survey({ withoutShards: true, endedOperators: 1000 });
    const now = began.map((operator) => [...survey.operators, ...survey.ended].find(({ id }) => id === operator.id) ?? operator);
    const failed = now.find(({ state }) => state === 'failed' || state === 'cancelled');
    if (failed !== undefined && reached === undefined) {
      const message = `operator ${failed.id} (${failed.kind} of shard ${failed.shard}) ${failed.state === 'failed' ? 'failed' : 'was cancelled'}: ${failed.note}`;
      throw new SparrowError('unavailable', 'OPERATOR_FAILED', message, { operator: failed.id });
    }
    const whole = reached === undefined ? now.every(({ state }) => state !== 'running') : await reached(meta);
    if (whole) return now;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LOOK_MS);
      signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}

async function hasNothing(meta: MetaAdmin, id: number): Promise<boolean> {
  const node = (await meta.survey({ withoutShards: true })).nodes.find(({ entry }) => entry?.node === id);
  return node === undefined || node.replicas === 0;
}

function outcome(operators: readonly SurveyedOperator[], dryRun: boolean): string {
  if (operators.length === 0) return dryRun ? 'nothing would be done\n' : 'done\n';
  const head = dryRun ? 'would be done:\n\n' : '';
  const text = operators.map((operator) =>
    operator.state === 'running' || dryRun ? operatorText(operator, operator.beganMs) : endText(operator),
  );
  const running = !dryRun && operators.some(({ state }) => state === 'running');
  return `${head}${text.join('\n')}${running ? '\nunder way: sparrowkv cluster operators\n' : ''}`;
}

function endText({ id, kind, shard, state, note }: SurveyedOperator): string {
  return `${id} ${kind} of shard ${shard}: ${state}${note === '' ? '' : `, ${note}`}\n`;
}
