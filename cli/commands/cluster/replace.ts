/** `sparrowkv cluster replace OLD NEW`: the number of voters stays the same all along. */
import type { Command } from 'commander';

import { SparrowError } from '../../../client/index.ts';
import { EXIT_OK } from '../../exit.ts';
import { type ClusterOptions, memberOf, needMember, operate, type Operator, parseNodeId, reach, withClusterOptions } from './operator.ts';
import { needAddress, withPlaceOptions } from './members.ts';
import { addLearner, catchUp, LEARNER, placeOf, removeMember, VOTER, yieldLead } from './steps.ts';

const HELP = `
NEW is a learner already, or a node that runs and waits; then --address tells where. It is waited for
until it has caught up. Then it takes OLD's vote in one step, and OLD is removed for good. OLD may be
dead; the others must be a majority.

Examples:
  sparrowkv server --data ./data4 --node-id 4 --listen 127.0.0.1:7430 --peer-listen 127.0.0.1:7431 \\
    --join 127.0.0.1:7400
  sparrowkv cluster replace 2 4 --address 127.0.0.1:7430
`;

interface ReplaceOptions extends ClusterOptions {
  address?: string;
  peerAddress?: string;
}

export function addReplace(cluster: Command): void {
  const command = cluster
    .command('replace')
    .argument('<old>', 'the node that goes', parseNodeId)
    .argument('<new>', 'the node that takes its place', parseNodeId)
    .description('put a node in the place of another, which may be dead')
    .addHelpText('after', HELP);
  withPlaceOptions(withClusterOptions(command)).action((from: number, by: number, options: ReplaceOptions) =>
    operate(options, (operator) => replace(operator, from, by, options)),
  );
}

async function replace(operator: Operator, from: number, by: number, options: ReplaceOptions): Promise<number> {
  if (from === by)
    throw new SparrowError('invalid', 'NODE_ID', `node ${from} cannot take its own place: NEW has another id`, { field: 'new' });
  const { status } = await operator.admin.leaderStatus();
  if (!status.removedIds.includes(from) || memberOf(status, by) === undefined) needMember(status, from);
  if (memberOf(status, by) === undefined) {
    await addLearner(operator, by, await placeOf(operator, by, needAddress(options, by), options.peerAddress));
  }
  await catchUp(operator, by);
  await yieldLead(operator, from);
  await reach(operator, {
    // Until the old set of voters is left, too.
    reached: (now) => memberOf(now, by)?.role === VOTER && (memberOf(now, from)?.role ?? LEARNER) === LEARNER,
    step: async () => {
      const now = (await operator.admin.leaderStatus()).status;
      if (memberOf(now, by)?.role === LEARNER && memberOf(now, from)?.role === VOTER) {
        await operator.admin.changeMembers({ type: 'replace', voter: from, learner: by });
      } else if (memberOf(now, by)?.role === LEARNER) {
        await operator.admin.changeMembers({ type: 'promote', id: by });
      } else if (memberOf(now, from)?.role === VOTER) {
        await operator.admin.changeMembers({ type: 'demote', id: from });
      }
    },
    msMax: operator.timeoutMs,
    what: `node ${by} in the place of node ${from}`,
  });
  operator.done(`node ${by} votes in the place of node ${from}`);
  await removeMember(operator, from);
  operator.done('next: "sparrowkv cluster release 1" has the metaserver look after the members of shard 1 again');
  return EXIT_OK;
}
