/** `sparrowkv table create|list|show|alter|drop|undelete`. */
import type { Command } from 'commander';

import { addHelp } from '../help.ts';
import { addTableChanges } from './change.ts';
import { addTableViews } from './show.ts';

const HELP = `
A table is divided into shards, each replicated on nodes of its pool. One of ranges keeps keys in order and
can be divided anywhere; one of hashes spreads neighbouring keys over all shards.

Examples:
  sparrowkv table create orders --hash 8 --replicas 3
  sparrowkv table create users --split-at g --split-at n --split-at t
  sparrowkv table list
  sparrowkv table show users
  sparrowkv table alter users --replicas 5
  sparrowkv table drop orders
  sparrowkv table undelete orders
`;

export function addTable(program: Command): void {
  const table = program.command('table').description('make, change and drop tables').addHelpText('after', HELP);
  addTableChanges(table);
  addTableViews(table);
  addHelp(table);
}
