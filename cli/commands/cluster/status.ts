/** `sparrowkv cluster status`. */
import type { Command } from 'commander';

import { EXIT_NOT_FOUND, EXIT_OK } from '../../exit.ts';
import { listenForInterrupt } from '../../interrupt.ts';
import { formatBytes, formatCount } from '../../terminal/progress.ts';
import { connectAdmin } from '../../../client/index.ts';
import { tlsOptions } from '../../client-command.ts';
import { type ClusterOptions, print, withClusterOptions } from './operator.ts';
import { type Survey, type SurveyedMember, survey } from './survey.ts';
import { table } from '../../terminal/columns.ts';

const HELP = `
Asks each node. "log" is what a node has: its first and last entry. "behind" is how many entries a node
lacks, as the leader knows. A learner gets everything and has no vote. These are those of the first shard;
"shards" is of all that a node has a replica of, and below are those that do not do well, and why.

Exits with 1 when no node leads, and with 3 when no node answers.

Examples:
  sparrowkv cluster status
  sparrowkv cluster status --server 10.0.0.1:7400,10.0.0.2:7400
  sparrowkv cluster status --json
`;

/** Further ones are counted. */
const UNWELL_SHOWN_MAX = 20;
const ROLES: Readonly<Record<number, string>> = { 1: 'voter', 2: 'learner', 3: 'voter, going' };
const STATES: Readonly<Record<number, string>> = { 1: 'follows', 2: 'campaigns', 3: 'leads' };

export function addStatus(cluster: Command): void {
  const command = cluster
    .command('status')
    .description('tell who is a member, who leads, and how each node does')
    .addHelpText('after', HELP);
  withClusterOptions(command, 'all that is known, as JSON').action((options: ClusterOptions) => status(options));
}

async function status(options: ClusterOptions): Promise<void> {
  using interrupt = listenForInterrupt();
  const addresses = options.server.split(',').map((address) => address.trim());
  using admin = connectAdmin(addresses, { timeoutMs: Math.ceil(options.timeout * 1000), signal: interrupt.signal, ...tlsOptions(options) });
  try {
    const found = await survey(admin);
    await print(options.json === true ? `${JSON.stringify(found, null, 2)}\n` : describe(found));
    process.exitCode = found.leaderId === 0 ? EXIT_NOT_FOUND : EXIT_OK;
  } catch (error) {
    const code = interrupt.exitCode();
    if (code === undefined) throw error;
    process.exitCode = code;
  }
}

export function describe(found: Survey): string {
  const { clusterId, leaderId, term, members, node, asked, removedIds } = found;
  const leads = leaderId === 0 ? `NO LEADER, term ${formatCount(term)}` : `node ${leaderId} leads in term ${formatCount(term)}`;
  const lines = [`cluster ${clusterId === '' ? '(a node alone)' : clusterId}: ${leads}\n`];
  if (node?.removed === true) lines.push(`node ${node.id} at ${asked} was removed from this cluster: stop it\n`);
  if (members.length === 0 && node !== undefined) {
    lines.push(
      `node ${node.id} at ${asked} waits to be taken in:\n  sparrowkv cluster add-learner ${node.id} --address ${node.address || asked} --server ANY-MEMBER\n`,
    );
    return lines.join('');
  }
  const rows = members.map((member) => [
    String(member.id),
    ROLES[member.role] ?? '?',
    member.address || '-',
    member.peerAddress || '-',
    stateOf(member, found),
    member.node === undefined ? '-' : `${formatCount(member.node.firstIndex)} to ${formatCount(member.node.lastIndex)}`,
    behind(member, found),
    shardsOf(member),
  ]);
  lines.push('\n', table(['node', 'role', 'address', 'other nodes at', 'state', 'log', 'behind', 'shards'], rows));
  lines.push(unwellText(members));
  if (leaderId === 0) lines.push(`\n${leaderless(found)}\n`);
  if (removedIds.length > 0) lines.push(`\nremoved, and not to be used again: ${removedIds.join(', ')}\n`);
  return lines.join('');
}

function stateOf({ id, address, node, error, reachable }: SurveyedMember, { leaderId }: Survey): string {
  if (node === undefined) {
    const seen = reachable ? ', but other nodes reach it' : '';
    return `DOWN${seen} (${(error ?? 'no answer').replace(`cannot reach ${address}: `, '')})`;
  }
  if (node.removed) return 'REMOVED';
  if (node.stoppedBecause !== '') return `STOPPED: ${node.stoppedBecause}`;
  const parts = [id === leaderId ? 'leads' : leaderId === 0 ? 'up' : (STATES[node.role] ?? 'unknown')];
  if (node.diskFull) parts.push('DISK FULL');
  if (node.receiving !== undefined) {
    parts.push(`takes a snapshot, ${formatBytes(node.receiving.bytes)} of ${formatBytes(node.receiving.bytesTotal)}`);
  }
  return parts.join(', ');
}

/** Of all that the node has a replica of. */
function shardsOf({ shards }: SurveyedMember): string {
  if (shards === undefined) return '-';
  const ill = shards.unwellCount === 0 ? '' : `, ${formatCount(shards.unwellCount)} UNWELL`;
  return `${formatCount(shards.replicas)}, ${formatCount(shards.leading)} led${ill}`;
}

function unwellText(members: readonly SurveyedMember[]): string {
  const unwell = members.flatMap(({ id, shards }) => (shards?.unwell ?? []).map((shard) => ({ id, ...shard })));
  if (unwell.length === 0) return '';
  const count = members.reduce((sum, { shards }) => sum + (shards?.unwellCount ?? 0), 0);
  const shown = unwell
    .slice(0, UNWELL_SHOWN_MAX)
    .map(({ id, shard, state, why }) => `  node ${id}, shard ${shard}: ${state}${why === '' ? '' : `: ${why}`}\n`);
  const rest = count > shown.length ? `  and ${formatCount(count - shown.length)} more; --json has up to a hundred of each node\n` : '';
  return `\nnot well:\n${shown.join('')}${rest}`;
}

function behind({ id, progress }: SurveyedMember, { leaderId }: Survey): string {
  return progress === undefined || id === leaderId ? '-' : formatCount(progress.lag);
}

function leaderless({ members }: Survey): string {
  const voters = members.filter(({ role }) => ROLES[role] !== 'learner');
  const up = voters.filter(({ node }) => node !== undefined && node.stoppedBecause === '');
  const needed = Math.floor(voters.length / 2) + 1;
  if (up.length >= needed) return 'Enough voters are up: an election should be over within seconds.';
  return (
    `${up.length} of ${voters.length} voters are up, and ${needed} are needed. Start the others again; only if they are lost for good:\n` +
    `  sparrowkv cluster recover --nodes ${up.map(({ id }) => id).join(',') || 'ID,...'}`
  );
}
