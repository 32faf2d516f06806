/** `sparrowkv import (--dir DIR | --jsonl FILE) [--prefix P]`. */
import { type Command, Option } from 'commander';

import { SparrowError } from '../../base/errors.ts';
import {
  argumentBytes,
  type ClientWork,
  type KeyOptions,
  type ServerOptions,
  withClient,
  withEscapesOption,
  withServerOptions,
  withTableOption,
} from '../client-command.ts';
import { EXIT_NOT_FOUND, EXIT_OK } from '../exit.ts';
import { formatBytes, plural, startProgress } from '../terminal/progress.ts';
import { importJsonl } from '../tree/import-jsonl.ts';
import { importTree, measureTree } from '../tree/import-tree.ts';
import { importSummary } from '../tree/summary.ts';

const HELP = `
--dir stores each file below DIR: the key is the prefix and the path below DIR, the value its
content. A file larger than the server's limit on values (16 MiB) is stored in chunks; get, del
and export know how. Links are stored as links, empty directories too; modes, owners and times
are not; sockets, pipes and devices are named and left out.
--jsonl stores what "scan --json" prints, one {"key":"...","value":"..."} a line; - reads stdin.

An import adds and replaces, it never deletes. It outlasts a restart of the server; interrupted,
it is completed by running it again.

Examples:
  sparrowkv import --dir ./docs --prefix docs/
  sparrowkv import --jsonl backup.jsonl
`;

interface ImportCommandOptions extends ServerOptions, KeyOptions {
  dir?: string;
  jsonl?: string;
  prefix: string;
}

export function addImport(program: Command): void {
  const command = program
    .command('import')
    .description('store a directory tree, or entries from a file')
    .addOption(new Option('--dir <dir>', 'store the files below this directory').conflicts('jsonl'))
    .addOption(new Option('--jsonl <file>', 'store the entries of this file'))
    .option('--prefix <prefix>', 'put this before each key; end it in / to make it a directory', '')
    .addHelpText('after', HELP);
  withServerOptions(withTableOption(withEscapesOption(command, 'PREFIX')), 60).action(async (options: ImportCommandOptions) => {
    if (options.dir === undefined && options.jsonl === undefined)
      command.error("error: one of '--dir <dir>' and '--jsonl <file>' is needed");
    await withClient(
      options,
      (work) => (options.dir === undefined ? fromJsonl(work, options) : fromDirectory(work, options.dir, options)),
      true,
    );
  });
}

async function fromDirectory({ client, store, call }: ClientWork, dir: string, options: ImportCommandOptions): Promise<number> {
  const root = Buffer.from(dir);
  const totals = await measureTree(root, call.signal);
  const progress = startProgress('importing', totals);
  try {
    const result = await importTree(store, root, {
      limits: await client.limits(call),
      prefix: argumentBytes(options.prefix, options),
      call,
      onProgress: (files, bytes) => progress.advance(files, bytes),
      onProblem: (line) => progress.note(`sparrowkv: ${line}`),
    });
    progress.stop();
    process.stderr.write(`imported ${importSummary(result, progress.elapsedMs())}\n`);
    return result.problems > 0 ? EXIT_NOT_FOUND : EXIT_OK;
  } catch (error) {
    progress.stop();
    // What is wrong with the command stays so.
    if (!(error instanceof SparrowError) || error.kind !== 'invalid')
      process.stderr.write(`not finished: ${progress.summary()}; run the same command again to complete the import\n`);
    throw error;
  }
}

async function fromJsonl({ store, call }: ClientWork, options: ImportCommandOptions): Promise<number> {
  const progress = startProgress('importing', { files: 0, bytes: 0, items: ['entry', 'entries'] });
  try {
    const result = await importJsonl(store, options.jsonl ?? '-', {
      prefix: argumentBytes(options.prefix, options),
      call,
      onProgress: (entries, bytes) => progress.advance(entries, bytes),
    });
    progress.stop();
    process.stderr.write(`imported ${plural(result.entries, 'entry', 'entries')}, ${formatBytes(result.bytes)}\n`);
    return EXIT_OK;
  } finally {
    progress.stop();
  }
}
