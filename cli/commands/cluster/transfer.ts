/** `sparrowkv cluster transfer [ID]`. */
import type { Command } from 'commander';

import { EXIT_OK } from '../../exit.ts';
import { type ClusterOptions, operate, parseNodeId, withClusterOptions, withShardOption } from './operator.ts';
import { transferLead } from './steps.ts';

const HELP = `
Without an id: to the voter that has most of the log. Writes wait for a moment meanwhile.

Examples:
  sparrowkv cluster transfer
  sparrowkv cluster transfer 3
  sparrowkv cluster transfer 3 --shard 16
`;

export function addTransfer(cluster: Command): void {
  const command = cluster
    .command('transfer')
    .argument('[id]', 'of the node that is to lead', parseNodeId)
    .description('hand the lead over to another node')
    .addHelpText('after', HELP);
  withShardOption(withClusterOptions(command)).action((id: number | undefined, options: ClusterOptions) =>
    operate(options, async (operator) => {
      await transferLead(operator, id ?? 0);
      return EXIT_OK;
    }),
  );
}
