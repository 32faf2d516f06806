/** `sparrowkv engine repair DIR`. */
import type { Command } from 'commander';

import type { Loss, RepairOptions } from '../../../engine/index.ts';
import { EXIT_NOT_FOUND, EXIT_OK } from '../../exit.ts';
import { formatBytes, formatCount, plural } from '../../terminal/progress.ts';
import { findingLines, print, showKey, toJson, watched } from './show.ts';
import { storeDirectory } from './store-directory.ts';

const HELP = `
Keeps everything that has a valid checksum and says what is lost. The originals of what it replaces stay
in DIR, in a directory repair-NNN, until you remove it. A sound store is left as it is. Where there is a
backup or a replica, restoring that loses less. Exits with 1 when something is lost.

Examples:
  sparrowkv engine repair ./data --dry-run
  sparrowkv engine repair ./data
`;

export function addRepair(engine: Command): void {
  engine
    .command('repair <dir>')
    .description('make a store of what is left of a damaged one')
    .option('--dry-run', 'only tell what would be lost')
    .option('--compression <codec>', 'of tables that are made, unless their keyspace says: none, lz4 or zstd', 'none')
    .option('--json', 'the whole report, as JSON')
    .addHelpText('after', HELP)
    .action((directory: string, options: Options) => repair(directory, options));
}

interface Options extends Pick<Required<RepairOptions>, 'compression'> {
  dryRun?: boolean;
  json?: boolean;
}

async function repair(given: string, { dryRun = false, json = false, compression }: Options): Promise<void> {
  const engine = await import('../../../engine/index.ts');
  const directory = await storeDirectory(given);
  await watched(dryRun ? 'looking' : 'repairing', async (watch) => {
    const report = await engine.repair(directory, { ...watch, dryRun, compression });
    const code = report.lostCount > 0 ? EXIT_NOT_FOUND : EXIT_OK;
    if (json) {
      await print(toJson(report, 2));
      return code;
    }
    if (report.wasSound) {
      await print(`${directory} is whole: there is nothing to repair\n`);
      return EXIT_OK;
    }
    const lines = [findingLines('problem', report.problems, report.problemCount), ...report.lost.map((loss) => `${lossLine(loss)}\n`)];
    if (report.lostCount > report.lost.length) lines.push(`lost: and ${report.lostCount - report.lost.length} more\n`);
    if (report.manifest === 'lost') lines.push('the manifest is lost: tables are merged, and range deletes that only it had are gone\n');
    for (const name of report.keyspacesNamed) lines.push(`a keyspace has lost its name and is called ${name} now\n`);
    const kept = `${plural(report.tablesKept, 'table')} kept, ${plural(report.entriesSalvaged, 'entry', 'entries')} salvaged from others, ${plural(report.batches, 'batch', 'batches')} of the log`;
    const lost =
      report.lostCount === 0
        ? 'nothing is lost'
        : `lost: ${plural(report.lostCount, 'piece')}, ${formatCount(report.lostEntries)} entries known`;
    lines.push(`${directory} ${dryRun ? 'can be repaired' : 'is repaired'}: ${kept}; ${lost}\n`);
    if (report.quarantine !== undefined) lines.push(`the originals are in ${report.quarantine}\n`);
    await print(lines.join(''));
    return code;
  });
}

function lossLine({ file, offset, bytes, what, from, to, entries, mayShowOlder }: Loss): string {
  const keys =
    from === undefined && to === undefined ? '' : what === 'value' ? `, key ${showKey(from)}` : `, keys ${showKey(from)} to ${showKey(to)}`;
  const count = entries === undefined || what === 'value' ? '' : `, ${plural(entries, 'entry', 'entries')}`;
  const older = mayShowOlder ? ', where older values may show' : '';
  return `lost: ${what} of ${formatBytes(bytes)} in ${file} at ${offset}${keys}${count}${older}`;
}
