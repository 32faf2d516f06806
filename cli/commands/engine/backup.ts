/** `sparrowkv engine backup DIR TARGET`, `backups TARGET`, `restore TARGET DIR`. */
import { type Command, InvalidArgumentError } from 'commander';

import type { BackupInfo } from '../../../engine/index.ts';
import { EXIT_NOT_FOUND, EXIT_OK } from '../../exit.ts';
import { formatBytes, plural } from '../../terminal/progress.ts';
import { findingLines, print, toJson, watched } from './show.ts';
import { storeDirectory } from './store-directory.ts';

const BACKUP_HELP = `
TARGET is a directory for backups alone, made when it is not there; it may hold several, of several
stores. What an earlier one has is not copied again. Files are taken as they are: whether DIR is whole
is what "engine verify" tells. Interrupted, it leaves the other backups as they were.
`;
const RESTORE_HELP = `
Every file is compared with its checksum on the way. Interrupted, it leaves DIR empty.

Examples:
  sparrowkv engine restore /mnt/backups ./store
  sparrowkv engine restore /mnt/backups ./before --backup 3
`;
const BACKUPS_HELP = `
Without an option, lists them. --verify reads every file and compares it with its checksum, and exits
with 1 when one is damaged. --keep removes all but the newest COUNT that can be read.
`;

export function addBackup(engine: Command): void {
  engine
    .command('backup <dir> <target>')
    .description('add a backup of a store to a directory of backups')
    .option('--json', 'the result, as JSON')
    .addHelpText('after', BACKUP_HELP)
    .action(async (directory: string, target: string, { json }: { json?: boolean }) => {
      const { backup } = await import('../../../engine/index.ts');
      await watched('backing up', async (watch) => {
        const result = await backup(await storeDirectory(directory), target, watch);
        const { files, bytes, copiedFiles, copiedBytes } = result;
        const text = `backup ${result.backup} in ${target}: ${plural(files, 'file')}, ${formatBytes(bytes)}, of which ${copiedFiles} with ${formatBytes(copiedBytes)} are new\n`;
        await print(json === true ? toJson(result, 2) : text);
        return EXIT_OK;
      });
    });
}

export function addBackups(engine: Command): void {
  engine
    .command('backups <target>')
    .description('list, verify or remove backups')
    .option('--verify', 'compare every file with its checksum')
    .option('--keep <count>', 'remove all but so many', parseKeep)
    .option('--json', 'as JSON')
    .addHelpText('after', BACKUPS_HELP)
    .action(async (target: string, options: { verify?: boolean; keep?: number; json?: boolean }) => {
      if (options.keep !== undefined) await prune(target, options.keep, options.json === true);
      else if (options.verify === true) await verify(target, options.json === true);
      else await list(target, options.json === true);
    });
}

export function addRestore(engine: Command): void {
  engine
    .command('restore <target> <dir>')
    .description('make a store of a backup; DIR does not exist or is empty')
    .option('--backup <number>', 'which one (default: the newest)', parseKeep)
    .option('--json', 'the result, as JSON')
    .addHelpText('after', RESTORE_HELP)
    .action(async (target: string, directory: string, { backup, json }: { backup?: number; json?: boolean }) => {
      const { restore } = await import('../../../engine/index.ts');
      await watched('restoring', async (watch) => {
        const result = await restore(target, directory, { ...watch, ...(backup !== undefined && { backup }) });
        const text = `${directory} is backup ${result.backup}: ${plural(result.files, 'file')}, ${formatBytes(result.bytes)}\n`;
        await print(json === true ? toJson(result, 2) : text);
        return EXIT_OK;
      });
    });
}

async function list(target: string, json: boolean): Promise<void> {
  const { listBackups } = await import('../../../engine/index.ts');
  const found = listBackups(target);
  if (json) await print(toJson(found, 2));
  else await print(found.length === 0 ? `${target} holds no backup\n` : found.map((backup) => `${line(backup)}\n`).join(''));
}

async function verify(target: string, json: boolean): Promise<void> {
  const { verifyBackup } = await import('../../../engine/index.ts');
  await watched('verifying', async (watch) => {
    const report = await verifyBackup(target, watch);
    const { problems, unsound, backups, files, bytes } = report;
    const verdict = report.sound ? 'all are whole' : `damaged: backup ${unsound.join(', ')}`;
    const text = `${findingLines('problem', problems, problems.length)}${plural(backups, 'backup')}, ${plural(files, 'file')}, ${formatBytes(bytes)}: ${verdict}\n`;
    await print(json ? toJson(report, 2) : text);
    return report.sound ? EXIT_OK : EXIT_NOT_FOUND;
  });
}

async function prune(target: string, keep: number, json: boolean): Promise<void> {
  const { pruneBackups } = await import('../../../engine/index.ts');
  const removed = pruneBackups(target, keep);
  await print(
    json ? toJson({ removed }, 2) : `removed ${plural(removed.length, 'backup')}${removed.length > 0 ? `: ${removed.join(', ')}` : ''}\n`,
  );
}

function line(backup: BackupInfo): string {
  if (backup.problem !== undefined) return `${backup.backup}  UNREADABLE: ${backup.problem}`;
  const { createdMs, sequence, files, bytes, addedBytes } = backup;
  const at = sequence === undefined ? '' : `, sequence ${sequence}`;
  return `${backup.backup}  ${new Date(createdMs).toISOString()}  ${plural(files, 'file')}, ${formatBytes(bytes)}, ${formatBytes(addedBytes)} of its own${at}`;
}

function parseKeep(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count < 1)
    throw new InvalidArgumentError('A whole number from 1 is asked for.');
  return count;
}
