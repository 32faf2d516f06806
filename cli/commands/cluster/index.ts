/** `sparrowkv cluster ...`: who is a node of a cluster, and changes of that. Each command is a file beside this one, or a few that belong together. */
import type { Command } from 'commander';

import { addHelp } from '../help.ts';
import { addLeave } from './leave.ts';
import { addMemberCommands } from './members.ts';
import { addPolicy } from './policy.ts';
import { addRecover } from './recover.ts';
import { addReplace } from './replace.ts';
import { addStatus } from './status.ts';
import { addTransfer } from './transfer.ts';
import { addVerbs } from './verbs.ts';
import { addViews } from './views.ts';

const HELP = `
Any node of the cluster can be named by --server; what only the leader can do is done there.

To look:     status, nodes, shards, operators, plan
Shards:      move, split, merge, cancel, release; pause and resume the metaserver's own decisions,
             policy: by which bounds it decides
Nodes:       drain, undrain, decommission, replace, set-address
By hand:     add-learner, promote, demote, remove, transfer: the members of one shard, step by step
Recovery:    recover

A further node joins by being started, and gets its share by itself:
  sparrowkv server --data ./data4 --node-id 4 --listen 127.0.0.1:7430 --peer-listen 127.0.0.1:7431 \\
    --join 127.0.0.1:7400

Examples:
  sparrowkv cluster nodes
  sparrowkv cluster drain 3 --wait              before long work on its machine
  sparrowkv cluster decommission 3 --wait       it is not needed any more
  sparrowkv cluster replace 2 4 --address 127.0.0.1:7430
                                                node 4 takes the place of node 2, dead or alive
  sparrowkv cluster recover --nodes 1           after the majority was lost for good: what would it cost?
`;

export function addCluster(program: Command): void {
  const cluster = program
    .command('cluster')
    .description('look after a cluster: status, members, who leads, recovery')
    .addHelpText('after', HELP);
  addStatus(cluster);
  addViews(cluster);
  addVerbs(cluster);
  addLeave(cluster);
  addPolicy(cluster);
  addMemberCommands(cluster);
  addReplace(cluster);
  addTransfer(cluster);
  addRecover(cluster);
  addHelp(cluster);
}
