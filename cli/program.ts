/** The command line as a whole: its commands, its help, and how errors become one line on stderr and an exit code (exit.ts). */
import { createRequire } from 'node:module';

import { Command, CommanderError } from 'commander';

import { addCluster } from './commands/cluster/index.ts';
import { addEngine } from './commands/engine/index.ts';
import { addDelete } from './commands/delete.ts';
import { addExport } from './commands/export.ts';
import { addGet } from './commands/get.ts';
import { addHelp } from './commands/help.ts';
import { addImport } from './commands/import.ts';
import { addPut } from './commands/put.ts';
import { addScan } from './commands/scan.ts';
import { addServer } from './commands/server.ts';
import { addStatus } from './commands/status.ts';
import { addTable } from './commands/table/index.ts';
import { EXIT_USAGE, exitCodeOf, messageOf } from './exit.ts';
import { exitWhenReaderLeaves } from './terminal/output.ts';

const HELP = `
Examples:
  sparrowkv server --data ./data                start a server that keeps its data in ./data
  sparrowkv put greeting hello                  store a value
  sparrowkv get greeting                        print it
  sparrowkv scan --prefix gr                    list keys and values in order
  sparrowkv import --dir ./docs --prefix docs/  store a directory tree, a key for each file
  sparrowkv export --dir ./copy --prefix docs/  write it back to files
  sparrowkv table create orders --hash 8        make a table of eight shards
  sparrowkv cluster status                      tell who leads a cluster, and how its nodes do
  sparrowkv engine verify ./data                tell whether a store on disk is whole

All but "server" and "engine" talk to the server at 127.0.0.1:7400; --server or the environment variable
SPARROWKV_SERVER name another. "sparrowkv help COMMAND" explains a command.

Exit codes: 0 done, 1 not found or not all done, 2 wrong usage, 3 server not reachable or busy: try
again, 4 refused by the server or the file system, 130/143 ended by a signal.
`;

/** Settles when the command is done; the exit code is set then, and nothing keeps the process. */
export async function run(argv: readonly string[]): Promise<void> {
  exitWhenReaderLeaves();
  try {
    await createProgram().parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      // Its message is printed already.
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
      return;
    }
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

/** Also for who wants to know what there is: tests of documents. */
export function createProgram(): Command {
  const program = new Command('sparrowkv');
  program
    .description('SparrowKV: a key-value store. Runs the server, and talks to it.')
    .version(packageVersion(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'explain usage')
    .addHelpText('after', HELP)
    .showHelpAfterError('(sparrowkv --help explains usage)')
    .configureHelp({ helpWidth: 100 })
    .exitOverride();
  addServer(program);
  addGet(program);
  addPut(program);
  addDelete(program);
  addScan(program);
  addImport(program);
  addExport(program);
  addStatus(program);
  addTable(program);
  addCluster(program);
  addEngine(program);
  addHelp(program);
  nameHelp(program, 'sparrowkv');
  return program;
}

/** Wrong usage points to the help of its very command. */
function nameHelp(command: Command, path: string): void {
  for (const each of command.commands) {
    const name = `${path} ${each.name()}`;
    each.showHelpAfterError(`(${name.replace('sparrowkv', 'sparrowkv help')} explains usage)`);
    nameHelp(each, name);
  }
}

function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('sparrowkv/package.json') as { version: string };
  return version;
}
