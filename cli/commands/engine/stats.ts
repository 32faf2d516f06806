/** `sparrowkv engine stats DIR`. */
import type { Command } from 'commander';

import type { StoreStats } from '../../../engine/index.ts';
import { formatBytes, formatCount, plural } from '../../terminal/progress.ts';
import { print, rows, showKey, toJson } from './show.ts';
import { storeDirectory } from './store-directory.ts';

const HELP = `
Figures of the manifest and of files' sizes: it reads no table, and tells nothing of damage. A key of a
keyspace other than the default one has the keyspace's number in front ("1:wren"); deletes are entries
too, until compaction drops them. "values" are those of 1 KiB and more, in files of their own.
`;

export function addStats(engine: Command): void {
  engine
    .command('stats <dir>')
    .description('tell what a store is made of')
    .option('--json', 'all figures, as JSON')
    .addHelpText('after', HELP)
    .action((directory: string, { json }: { json?: boolean }) => stats(directory, json === true));
}

async function stats(given: string, json: boolean): Promise<void> {
  const directory = await storeDirectory(given);
  const engine = await import('../../../engine/index.ts');
  const found = await engine.stats(directory);
  if (json) return print(toJson(found, 2));
  const { levels, keyspaces, obsoleteFiles } = found;
  await print(
    rows([
      ['disk', formatBytes(found.diskBytes)],
      ['manifest', `${found.manifest}, sequence ${formatCount(found.lastSequence)}`],
      ...levels.map(({ level, tables, bytes, entries, tombstones, smallest, largest }): [string, string] => [
        `level ${level}`,
        `${plural(tables, 'table')}, ${formatBytes(bytes)}, ${plural(entries, 'entry', 'entries')}, ${plural(tombstones, 'delete')}, ${showKey(smallest)} to ${showKey(largest)}`,
      ]),
      [
        'values',
        `${formatBytes(found.liveValueBytes)} live in ${plural(found.blockFiles, 'block file')} of ${formatBytes(found.blockFileBytes)}`,
      ],
      ['log', `${plural(found.logSegments, 'segment')}, ${formatBytes(found.logBytes)}`],
      ...(keyspaces.length > 0 ? [['keyspaces', keyspaces.map(showKeyspace).join(', ')] as const] : []),
      ...(obsoleteFiles.length > 0 ? [['leftovers', `${obsoleteFiles.join(' ')} (the next opening removes them)`] as const] : []),
    ]),
  );
}

function showKeyspace({ id, name, settings: { compression, ...numbers } }: StoreStats['keyspaces'][number]): string {
  const levels = typeof compression === 'object' ? Object.entries(compression).map(([level, codec]) => `${level} ${codec}`) : compression;
  const shown = Object.entries(numbers).map(([setting, value]) => `${setting} ${value}`);
  if (levels !== undefined) shown.push(`compression ${[levels].flat().join(', ')}`);
  return `${id} ${name}${shown.length > 0 ? ` (${shown.join(', ')})` : ''}`;
}
