/** `sparrowkv cluster add-learner|promote|demote|remove|set-address`. */
import type { Command } from 'commander';

import { SparrowError } from '../../../client/index.ts';
import { EXIT_OK } from '../../exit.ts';
import { type ClusterOptions, needMember, operate, type Operator, parseNodeId, withClusterOptions, withShardOption } from './operator.ts';
import { addLearner, catchUp, makeLearner, makeVoter, placeOf, removeMember } from './steps.ts';

const ADD_HELP = `
The node is running already, with an empty directory and an id that was never used, and waits:
  sparrowkv server --data ./data4 --node-id 4 --listen 127.0.0.1:7430 --peer-listen 127.0.0.1:7431 \\
    --join 127.0.0.1:7400

Its address for other nodes is asked of it when --peer-address does not tell. The leader calls it there
before anything is changed. A learner gets all data and has no vote; "promote" gives it one.

Examples:
  sparrowkv cluster add-learner 4 --address 127.0.0.1:7430
  sparrowkv cluster add-learner 4 --address 10.0.0.4:7400 --peer-address 10.1.0.4:7401 --wait
`;
const PROMOTE_HELP = `
A learner that is behind by more than 1,000 entries is not promoted; --wait waits until it is nearer,
and says on stderr how far it is. Clusters have 3 or 5 voters: an even number survives no more failures
than the odd one below it.

Examples:
  sparrowkv cluster promote 4 --wait
`;
const DEMOTE_HELP = `
The node goes on getting all data, and has no vote. If it leads, another node takes the lead before.
Refused when the voters that are left and can be reached would be no majority.

Examples:
  sparrowkv cluster demote 2
`;
const REMOVE_HELP = `
A voter is demoted before; if it leads, another node takes the lead. The id is not used again: the
node comes back, if it is to, with an empty directory and another id. To put another node in its
place, "replace" is safer: the number of voters stays.

Examples:
  sparrowkv cluster remove 2
`;
const MOVE_HELP = `
For a node that was started again at other addresses. The leader calls it there before anything is
changed.

Examples:
  sparrowkv cluster set-address 2 --address 10.0.0.7:7400 --peer-address 10.0.0.7:7401
`;

interface PlaceOptions extends ClusterOptions {
  address?: string;
  peerAddress?: string;
  wait?: boolean;
}

export function addMemberCommands(cluster: Command): void {
  withPlaceOptions(verb(cluster, 'add-learner', 'take a node in, without a vote', ADD_HELP))
    .option('--wait', 'wait until it has caught up')
    .action((id: number, options: PlaceOptions) => operate(options, (operator) => add(operator, id, options)));
  verb(cluster, 'promote', 'give a learner a vote', PROMOTE_HELP)
    .option('--wait', 'wait until it has caught up')
    .action((id: number, options: PlaceOptions) => operate(options, (operator) => promote(operator, id, options.wait === true)));
  verb(cluster, 'demote', 'take the vote of a node; it stays as a learner', DEMOTE_HELP).action((id: number, options: ClusterOptions) =>
    operate(options, async (operator) => {
      await makeLearner(operator, id);
      return EXIT_OK;
    }),
  );
  verb(cluster, 'remove', 'take a node out, for good', REMOVE_HELP).action((id: number, options: ClusterOptions) =>
    operate(options, async (operator) => {
      await removeMember(operator, id);
      return EXIT_OK;
    }),
  );
  withPlaceOptions(verb(cluster, 'set-address', 'tell the cluster that a node is elsewhere now', MOVE_HELP)).action(
    (id: number, options: PlaceOptions) => operate(options, (operator) => move(operator, id, options)),
  );
}

function verb(cluster: Command, name: string, description: string, help: string): Command {
  const command = cluster.command(name).argument('<id>', 'of the node', parseNodeId).description(description).addHelpText('after', help);
  return withShardOption(withClusterOptions(command));
}

export function withPlaceOptions(command: Command): Command {
  return command
    .option('--address <address>', 'HOST:PORT where clients reach the node')
    .option('--peer-address <address>', 'HOST:PORT where other nodes reach it (default: what the node itself says)');
}

export function needAddress(options: { address?: string }, id: number): string {
  if (options.address !== undefined) return options.address;
  throw new SparrowError('invalid', 'OPTION_MISSING', `where is node ${id}? --address HOST:PORT is needed`, { field: 'address' });
}

async function add(operator: Operator, id: number, options: PlaceOptions): Promise<number> {
  const place = await placeOf(operator, id, needAddress(options, id), options.peerAddress);
  await addLearner(operator, id, place);
  if (options.wait === true) await catchUp(operator, id);
  operator.done(`next: sparrowkv cluster promote ${id}${options.wait === true ? '' : ' --wait'}`);
  return EXIT_OK;
}

async function promote(operator: Operator, id: number, wait: boolean): Promise<number> {
  if (wait) await catchUp(operator, id);
  await makeVoter(operator, id);
  return EXIT_OK;
}

async function move(operator: Operator, id: number, options: PlaceOptions): Promise<number> {
  const place = await placeOf(operator, id, needAddress(options, id), options.peerAddress);
  needMember((await operator.admin.leaderStatus()).status, id);
  await operator.admin.changeMembers({ type: 'set-addresses', node: { id, ...place } });
  operator.done(`node ${id} is reached at ${place.address}, and by other nodes at ${place.peerAddress}`);
  return EXIT_OK;
}
