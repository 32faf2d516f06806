/** `sparrowkv engine compact DIR`. */
import type { Command } from 'commander';

import { formatBytes } from '../../terminal/progress.ts';
import { print, toJson } from './show.ts';
import { storeDirectory } from './store-directory.ts';

const HELP = `
Merges all tables into as few levels as there are, which drops what was overwritten or deleted, and
gives back the space of large values that nobody refers to. Opens the store, so it must not be in use.
`;

export function addCompact(engine: Command): void {
  engine
    .command('compact <dir>')
    .description('merge what a store holds, and give back space')
    .option('--json', 'bytes before and after, as JSON')
    .addHelpText('after', HELP)
    .action((directory: string, { json }: { json?: boolean }) => compact(directory, json === true));
}

async function compact(given: string, json: boolean): Promise<void> {
  const directory = await storeDirectory(given);
  const engine = await import('../../../engine/index.ts');
  const before = (await engine.stats(directory)).diskBytes;
  const store = await engine.open(directory);
  try {
    await store.compact();
  } finally {
    await store.close();
  }
  const after = (await engine.stats(directory)).diskBytes;
  await print(json ? toJson({ directory, before, after }, 2) : `${directory}: ${formatBytes(before)} before, ${formatBytes(after)} now\n`);
}
