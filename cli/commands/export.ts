/** `sparrowkv export --dir OUT --prefix P`. */
import { mkdir, readdir } from 'node:fs/promises';

import type { Command } from 'commander';

import { SparrowError } from '../../base/errors.ts';
import {
  argumentBytes,
  type KeyOptions,
  type ServerOptions,
  withClient,
  withEscapesOption,
  withServerOptions,
  withTableOption,
} from '../client-command.ts';
import { EXIT_NOT_FOUND, EXIT_OK } from '../exit.ts';
import { startProgress } from '../terminal/progress.ts';
import { exportTree } from '../tree/export-tree.ts';
import { exportSummary } from '../tree/summary.ts';

const HELP = `
Writes each key that begins with PREFIX as a file: the path is the rest of the key. What import
stored comes back as it was. A key whose rest is no safe path (absolute, with "..", with a zero
byte) is named and left out; nothing is ever written outside DIR. The exit code is then 1.

Examples:
  sparrowkv export --dir ./copy --prefix docs/
`;

interface ExportCommandOptions extends ServerOptions, KeyOptions {
  dir: string;
  prefix: string;
  overwrite?: boolean;
}

export function addExport(program: Command): void {
  const command = program
    .command('export')
    .description('write keys and values to a directory tree')
    .requiredOption('--dir <dir>', 'where to; created if missing, and empty unless --overwrite')
    .option('--prefix <prefix>', 'only keys that begin with this, which is cut off', '')
    .option('--overwrite', 'replace files that are there')
    .addHelpText('after', HELP);
  withServerOptions(withTableOption(withEscapesOption(command, 'PREFIX')), 60).action((options: ExportCommandOptions) =>
    toDirectory(options),
  );
}

async function toDirectory(options: ExportCommandOptions): Promise<void> {
  await withClient(
    options,
    async ({ store, call }) => {
      await makeReady(options);
      const progress = startProgress('exporting', { files: 0, bytes: 0 });
      try {
        const result = await exportTree(store, Buffer.from(options.dir), {
          prefix: argumentBytes(options.prefix, options),
          overwrite: options.overwrite === true,
          call,
          onProgress: (files, bytes) => progress.advance(files, bytes),
          onProblem: (line) => progress.note(`sparrowkv: ${line}`),
        });
        progress.stop();
        process.stderr.write(`exported ${exportSummary(result, progress.elapsedMs())}\n`);
        return result.problems > 0 ? EXIT_NOT_FOUND : EXIT_OK;
      } catch (error) {
        progress.stop();
        process.stderr.write(`not finished: ${progress.summary()}; ${options.dir} is not complete\n`);
        throw error;
      }
    },
    true,
  );
}

async function makeReady({ dir, overwrite }: ExportCommandOptions): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
    if (overwrite === true || (await readdir(dir)).length === 0) return;
  } catch (error) {
    throw new SparrowError('invalid', 'DIRECTORY_UNUSABLE', `cannot write there: ${(error as Error).message}`, {}, error);
  }
  throw new SparrowError('invalid', 'DIRECTORY_NOT_EMPTY', `${dir} is not empty; name another directory, or allow it with --overwrite`);
}
