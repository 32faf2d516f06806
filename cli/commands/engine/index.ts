/** `sparrowkv engine ...`: work on a store's directory, without a server. Each command is a file beside this one. */
import type { Command } from 'commander';

import { addHelp } from '../help.ts';
import { addBackup, addBackups, addRestore } from './backup.ts';
import { addCheckpoint } from './checkpoint.ts';
import { addCompact } from './compact.ts';
import { addDump } from './dump.ts';
import { addRepair } from './repair.ts';
import { addStats } from './stats.ts';
import { addVerify } from './verify.ts';

const HELP = `
These work on the directory of a store that nobody has open: of an embedded engine, or a server's
--data, below which its engines are: of that the first shard's is taken, of DATA/groups/000016 that of
shard 16. A store in use is refused; stop its server or program first.
The newest writes of a server may be in its log alone, which these do not read: "sparrowkv export",
while it runs, has everything.

Examples:
  sparrowkv engine verify ./data
  sparrowkv engine backup ./data /mnt/backups
  sparrowkv engine restore /mnt/backups ./store
  sparrowkv engine repair ./data --dry-run

Exit codes as elsewhere; 1 says that damage was found or that something is lost.
`;

export function addEngine(program: Command): void {
  const engine = program
    .command('engine')
    .description('look after a store that nobody has open: verify, back up, repair ...')
    .addHelpText('after', HELP);
  addVerify(engine);
  addStats(engine);
  addDump(engine);
  addCheckpoint(engine);
  addBackup(engine);
  addBackups(engine);
  addRestore(engine);
  addCompact(engine);
  addRepair(engine);
  addHelp(engine);
}
