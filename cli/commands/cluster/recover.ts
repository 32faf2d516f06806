/**
 * `sparrowkv cluster recover --nodes ID,...`: after a majority of voters of a shard was lost for good.
 *
 *   first    without --yes: says which entries are kept and which may be lost, and with which token to go on. Changes nothing
 *   then     with --yes TOKEN: makes the nodes named the cluster, if the plan is still the same
 *
 * Of the nodes that are left, the one with the longest log leads: the others lack nothing that it has not.
 *
 * Each shard has a majority of its own: what nodes were lost with them is told by `cluster shards`, once the metaserver works, which is shard 2.
 */
import { type Command, InvalidArgumentError } from 'commander';

import { type AdminOptions, type ClusterAdmin, type ClusterRecoveryPlan, connectAdmin, SparrowError } from '../../../client/index.ts';
import { EXIT_OK } from '../../exit.ts';
import { formatCount } from '../../terminal/progress.ts';
import { type ClusterOptions, operate, type Operator, parseNodeId, withClusterOptions, withShardOption } from './operator.ts';
import { statusOf, survey, type Survey, type SurveyedMember } from './survey.ts';
import { VOTER } from './steps.ts';

const HELP = `
Unsafe, and the last resort: writes that only the lost nodes had are gone. As long as a majority can be
started again, start it. The nodes that are left keep running; those that are given up must be stopped,
and never be started on their data again.

Each shard is recovered by itself. Where nodes were lost, first shard 1 (without --shard), then the
metaserver (--shard 2); then "sparrowkv cluster shards" tells which others have no leader.

Without --yes nothing is changed: it prints what would be kept and what may be lost, and a token for
--yes; with --json the same as JSON.

Examples:
  sparrowkv cluster recover --nodes 1
  sparrowkv cluster recover --nodes 1 --yes 5f3a9c21
  sparrowkv cluster recover --shard 2 --nodes 1
`;

interface RecoverOptions extends ClusterOptions {
  nodes: number[];
  yes?: string;
}

interface Plan {
  readonly found: Survey;
  readonly left: readonly SurveyedMember[];
  /** The one that would lead. */
  readonly leader: SurveyedMember;
  readonly plan: ClusterRecoveryPlan;
}

export function addRecover(cluster: Command): void {
  const command = cluster
    .command('recover')
    .requiredOption('--nodes <ids>', 'all nodes that are left, separated by commas', parseNodes)
    .option('--yes <token>', 'do it: the token that was printed with the plan')
    .description('go on with the nodes that are left, after a majority was lost for good')
    .addHelpText('after', HELP);
  withClusterOptions(withShardOption(command)).action((options: RecoverOptions) =>
    operate(
      options,
      async (operator) => {
        const plan = await makePlan(operator.admin, options);
        if (options.yes === undefined) {
          for (const line of describe(plan, options)) operator.done(line);
          operator.answer({ leader: plan.leader.id, left: plan.left.map(({ id }) => id), ...plan.plan });
        } else await carryOut(operator, plan, options);
        return EXIT_OK;
      },
      nodesThatAnswer,
    ),
  );
}

/** The metaserver may be what is to be recovered: nodes are where those that were named, and the members of shard 1 as they know them, say. */
async function nodesThatAnswer(addresses: readonly string[], _shard: number, options: AdminOptions): Promise<string[]> {
  using admin = connectAdmin(addresses, options);
  const { status } = await admin.status();
  return [...new Set([...addresses, ...status.members.map(({ address }) => address).filter((address) => address !== '')])];
}

async function makePlan(admin: ClusterAdmin, { nodes, shard = 1 }: RecoverOptions): Promise<Plan> {
  const found = await survey(admin);
  if (found.leaderId !== 0 && found.members.some(({ id, node }) => id === found.leaderId && node !== undefined)) {
    throw new SparrowError(
      'conflict',
      'HAS_LEADER',
      `node ${found.leaderId} leads: shard ${shard} has its majority, nothing is to be recovered`,
      { leader: found.leaderId, shard },
    );
  }
  const left = nodes.map((id) => {
    const member = found.members.find((each) => each.id === id);
    if (member === undefined)
      throw new SparrowError('invalid', 'NOT_A_MEMBER', `node ${id} is not a member of shard ${shard}`, { node: id, shard });
    if (member.node !== undefined) return member;
    throw new SparrowError('unavailable', 'NODE_UNREACHABLE', `node ${id} is not reached: ${member.error}; name only nodes that run`, {
      node: id,
    });
  });
  const alive = found.members.find(({ id, node, role }) => node !== undefined && role === VOTER && !nodes.includes(id));
  if (alive !== undefined) {
    throw new SparrowError(
      'conflict',
      'NODE_NOT_LOST',
      `node ${alive.id} is not named, but answers at ${alive.address}: name it, or stop it first`,
      {
        node: alive.id,
      },
    );
  }
  const leader = left.toSorted((a, b) => b.node!.lastTerm - a.node!.lastTerm || b.node!.lastIndex - a.node!.lastIndex || a.id - b.id)[0]!;
  return { found, left, leader, plan: await admin.recoveryPlan(leader.address, nodes) };
}

function describe({ found, left, leader, plan }: Plan, { nodes, server, shard }: RecoverOptions): string[] {
  const { committedIndex, lastIndex, lostFromIndex, lost, token } = plan;
  const others = lost.length === 0 ? 'nobody' : `${lost.length === 1 ? 'node' : 'nodes'} ${lost.join(', ')}`;
  return [
    `Recovery of ${shard === undefined ? 'cluster' : `shard ${shard} of cluster`} ${found.clusterId} with what is left of it. Nothing has been changed yet.`,
    '',
    `left      ${left.map(({ id, node }) => `node ${id} (entries up to ${formatCount(node!.lastIndex)} of term ${formatCount(node!.lastTerm)})`).join(', ')}`,
    `leads     node ${leader.id}, which has the longest log of them`,
    `given up  ${others}: stop them, and never start them on their data again`,
    `kept      entries up to ${formatCount(lastIndex)}; up to ${formatCount(committedIndex)} they are known to be committed`,
    `LOST      entries from ${formatCount(lostFromIndex)} on, if there were any: writes that only ${others} had`,
    '',
    'To go on:',
    `  sparrowkv cluster recover ${shard === undefined ? '' : `--shard ${shard} `}--nodes ${nodes.join(',')} --server ${server} --yes ${token}`,
  ];
}

async function carryOut(operator: Operator, { left, leader, plan }: Plan, { yes: token = '', shard }: RecoverOptions): Promise<void> {
  const { admin, timeoutMs } = operator;
  if (token !== plan.token) {
    throw new SparrowError('conflict', 'PLAN_CHANGED', `${token} is not the token of the plan as it is now`, { token });
  }
  const voters = left.map(({ id }) => id).sort((a, b) => a - b);
  const endMs = performance.now() + timeoutMs;
  await admin.recover(leader.address, voters, token);
  for (;;) {
    const { leaderId, members } = await statusOf(admin, leader.id, leader.address);
    const now = members.filter(({ role }) => role === VOTER).map(({ id }) => id);
    if (leaderId === leader.id && now.length === voters.length && now.every((id) => voters.includes(id))) break;
    if (performance.now() > endMs) {
      throw new SparrowError('unavailable', 'TIMEOUT', `node ${leader.id} was told to lead, and does not after ${timeoutMs} ms`, {
        timeoutMs,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  operator.done(`node ${leader.id} leads; ${voters.length === 1 ? 'it votes alone' : `voters are ${voters.join(', ')}`}`);
  if (shard === undefined) {
    operator.done('next: start new nodes with other ids and empty directories, and take them in:');
    operator.done('  sparrowkv help cluster add-learner');
  } else {
    operator.done('next: decommission the nodes that were lost, and have the metaserver make the missing replicas anew:');
    operator.done(`  sparrowkv cluster release ${shard}`);
  }
}

function parseNodes(text: string): number[] {
  const nodes = text.split(',').map((part) => parseNodeId(part.trim()));
  if (new Set(nodes).size !== nodes.length) throw new InvalidArgumentError('A node is named twice.');
  return nodes;
}
