/** `sparrowkv cluster ...`: who is a node of a cluster, and changes of that. Each command is a file beside this one, or a few that belong together. */
import type { Command } from 'commander';

import { addHelp } from '../help.ts';
import { addMemberCommands } from './members.ts';
import { addRecover } from './recover.ts';
import { addReplace } from './replace.ts';
import { addStatus } from './status.ts';
import { addTransfer } from './transfer.ts';
import { addVerbs } from './verbs.ts';
import { addViews } from './views.ts';

const HELP = `
Any node of the cluster can be named by --server; what only the leader can do is done there.

A node that is to join is started first, and waits:
  sparrowkv server --data ./data4 --node-id 4 --listen 127.0.0.1:7430 --peer-listen 127.0.0.1:7431 \\
    --join 127.0.0.1:7400
  sparrowkv cluster add-learner 4 --address 127.0.0.1:7430
  sparrowkv cluster promote 4 --wait

Other examples:
  sparrowkv cluster status
  sparrowkv cluster replace 2 4 --address 127.0.0.1:7430
                                                node 4 takes the place of node 2, dead or alive
  sparrowkv cluster transfer 3                  node 3 leads from now on
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
  addMemberCommands(cluster);
  addReplace(cluster);
  addTransfer(cluster);
  addRecover(cluster);
  addHelp(cluster);
}
