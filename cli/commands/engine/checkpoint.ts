/** `sparrowkv engine checkpoint DIR TO`. */
import type { Command } from 'commander';

import { formatBytes, plural } from '../../terminal/progress.ts';
import { print, toJson } from './show.ts';
import { storeDirectory } from './store-directory.ts';

const HELP = `
TO, which does not exist or is empty, becomes a store of its own that is what DIR is now. On one file
system the two share their files, and it takes no time and space; --copy allows another.
`;

export function addCheckpoint(engine: Command): void {
  engine
    .command('checkpoint <dir> <to>')
    .description('make a second store of what a store is now')
    .option('--copy', 'copy files that cannot be linked')
    .option('--json', 'the result, as JSON')
    .addHelpText('after', HELP)
    .action((directory: string, to: string, options: { copy?: boolean; json?: boolean }) => checkpoint(directory, to, options));
}

async function checkpoint(
  directory: string,
  to: string,
  { copy = false, json = false }: { copy?: boolean; json?: boolean },
): Promise<void> {
  const engine = await import('../../../engine/index.ts');
  const result = await engine.checkpoint(await storeDirectory(directory), to, { copy });
  const { files, linkedBytes, copiedBytes } = result;
  const text = `${to}: ${plural(files, 'file')}, ${formatBytes(linkedBytes)} linked, ${formatBytes(copiedBytes)} copied\n`;
  await print(json ? toJson(result, 2) : text);
}
