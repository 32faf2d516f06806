/** `sparrowkv cluster nodes|shards|operators|plan`: what the metaserver knows, does, and would do next. */
import { type Command, InvalidArgumentError } from 'commander';

import { SparrowError } from '../../../client/index.ts';
import { type MetaOptions, parseId, withMeta, withMetaOptions } from '../../meta-command.ts';
import { nodesText, operatorsText, planText, shardsText } from '../../terminal/cluster-text.ts';

const NODES_HELP = `
"state" is up; suspect (not heard of, and no other node reaches it); down (suspect for long: its replicas
are made anew elsewhere); draining and drained; removed. SLOW DISK: how many times as long as usual
its log takes to be synced; from 4 on it leads nothing. "disk i/o" is what the server reads and writes.

Examples:
  sparrowkv cluster nodes
  sparrowkv cluster nodes --json
`;
const SHARDS_HELP = `
"replicas" are nodes: the leader's has a *, learners a + and witnesses a -. "keys" are where a shard of a
range begins and ends; "hash 3 of 8" has the keys whose hash leaves 3 when it is divided by 8.

Examples:
  sparrowkv cluster shards
  sparrowkv cluster shards --table orders
  sparrowkv cluster shards --node 3
`;
const OPERATORS_HELP = `
An operator is a row of steps towards one end, with the reason why it was begun. It goes on when the
metaserver's leader fails: the next one takes it up where it is.

Examples:
  sparrowkv cluster operators
  sparrowkv cluster operators --ended 50
`;
const PLAN_HELP = `
What the metaserver would begin now if there were room for it, each with its reason. Changes nothing.

Examples:
  sparrowkv cluster plan
`;

interface ShardsOptions extends MetaOptions {
  table?: string;
  node?: number;
  limit: number;
}

interface OperatorsOptions extends MetaOptions {
  ended: number;
}

export function addViews(cluster: Command): void {
  view(cluster, 'nodes', 'tell how each node does, and what it has', NODES_HELP).action((options: MetaOptions) =>
    withMeta(options, async (meta) => {
      const found = await meta.survey({ withoutShards: true });
      return { found: found.nodes, text: nodesText(found) };
    }),
  );
  view(cluster, 'shards', 'tell which shards there are, where, and how they do', SHARDS_HELP)
    .option('--table <name>', 'of this table only')
    .option('--node <id>', 'with a replica on this node only', parseId('node'))
    .option('--limit <count>', 'print so many at most', parseLimit, 1000)
    .action((options: ShardsOptions) =>
      withMeta(options, async (meta) => {
        const found = await meta.survey();
        if (options.node !== undefined && !found.nodes.some(({ entry }) => entry?.node === options.node))
          throw new SparrowError('invalid', 'NODE_UNKNOWN', `there is no node ${options.node}`, { node: options.node });
        const table = options.table === undefined ? undefined : (await meta.topology({ table: options.table })).tables[0]?.table;
        const shards = found.shards.filter(
          ({ entry, replicas }) =>
            (table === undefined || entry?.table === table) &&
            (options.node === undefined || replicas.some(({ node }) => node === options.node)),
        );
        return { found: shards, text: shardsText(found, shards, options.limit) };
      }),
    );
  view(cluster, 'operators', 'tell what is being done to the cluster, step by step', OPERATORS_HELP)
    .option('--ended <count>', 'and what has come to an end, the last so many', parseLimit, 5)
    .action((options: OperatorsOptions) =>
      withMeta(options, async (meta) => {
        const found = await meta.survey({ withoutShards: true, endedOperators: Math.max(1, options.ended) });
        const ended = options.ended === 0 ? [] : found.ended;
        return { found: { running: found.operators, ended }, text: operatorsText(found, ended) };
      }),
    );
  view(cluster, 'plan', 'tell what would be done next, and why', PLAN_HELP).action((options: MetaOptions) =>
    withMeta(options, async (meta) => {
      const found = await meta.survey({ withoutShards: true });
      const { plan, blocked, pausedBecause, decisionMs } = found;
      return { found: { pausedBecause, decisionMs, plan, blocked }, text: planText(found) };
    }),
  );
}

function view(cluster: Command, name: string, description: string, help: string): Command {
  return withMetaOptions(cluster.command(name).description(description).addHelpText('after', help));
}

function parseLimit(text: string): number {
  const count = Number(text);
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError('A whole number up to 9,999,999 is asked for.');
  return count;
}
