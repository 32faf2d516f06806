/**
 * The guided start: a server on ./data with something real in it, and what to try next.
 *
 *   start the server (its own process)  ->  first time: import node_modules, read a sample back  ->  say what to try  ->  serve
 *
 * That the import was completed is noted in the store itself, under START_KEY; a start that finds the note imports nothing.
 */
import { access } from 'node:fs/promises';
import { relative, resolve } from 'node:path';

import { Command } from 'commander';

import { SparrowError } from '../../base/errors.ts';
import { connect, type Client } from '../../client/index.ts';
import { DEFAULT_ADDRESS } from '../client-command.ts';
import { exitCodeOf, messageOf } from '../exit.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { exitWhenReaderLeaves } from '../terminal/output.ts';
import { formatBytes, formatCount, plural, startProgress } from '../terminal/progress.ts';
import { importTree, measureTree } from '../tree/import-tree.ts';
import { importSummary } from '../tree/summary.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';
import { verifySample } from './verify-sample.ts';

const START_KEY = 'sparrowkv/start';
const TREE_PREFIX = 'node_modules/';
const COUNT_MAX = 1_000_000;

interface StartOptions {
  data: string;
  listen: string;
  tree: string;
}

/** What START_KEY holds, as JSON. */
interface StartNote {
  files: number;
  bytes: number;
  finished: string;
  /** A key for examples. */
  example: string;
}

export async function runStart(argv: readonly string[]): Promise<void> {
  exitWhenReaderLeaves();
  const command = new Command('start')
    .description('Starts a server, fills it with a real directory tree when it is empty, and goes on serving.')
    .option('--data <dir>', 'where the server keeps its data', './data')
    .option('--listen <address>', 'where it listens, HOST:PORT', DEFAULT_ADDRESS)
    .option('--tree <dir>', 'the directory tree to import', './node_modules')
    .action((options: StartOptions) => start(options));
  try {
    await command.parseAsync(argv);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

async function start(options: StartOptions): Promise<void> {
  using interrupt = listenForInterrupt();
  const server = await startServer(options);
  try {
    await using client = connect(server.address, { timeoutMs: 60_000 });
    const example = await fillOrFind(client, options, interrupt.signal);
    say(whatToTry(example, server.address));
    await over(server, interrupt.signal);
    say('Stopping the server ...');
  } catch (error) {
    // Ctrl-C is no failure.
    if (!interrupt.signal.aborted) throw error;
    say('Interrupted; the next start completes the import. Stopping the server ...');
  } finally {
    await server.stop();
  }
  say('Stopped. The data stays; start again to find it.');
}

async function startServer({ data, listen, tree }: StartOptions): Promise<ServerProcess> {
  await access(tree).catch((error: unknown) => {
    throw new SparrowError('invalid', 'TREE_MISSING', `${tree} is not there: "npm ci" installs it, and --tree names another`, {}, error);
  });
  try {
    const server = await startServerProcess(data, listen, (line) => process.stderr.write(`server: ${line}\n`));
    say(`SparrowKV serves ${shown(data)} on ${server.address}.`);
    return server;
  } catch (error) {
    if (!(error instanceof SparrowError)) throw error;
    const advice = ADVICE[error.code];
    throw advice === undefined ? error : new SparrowError(error.kind, error.code, `${error.message}\n${advice}`, error.details, error);
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  ADDRESS_IN_USE: 'Stop what runs there (another start?), or choose another: npm start -- --listen 127.0.0.1:7401',
  LOCKED: 'Stop the other server, or use another directory: npm start -- --data ./data2 --listen 127.0.0.1:7401',
};

/** Returns a key to show in examples. */
async function fillOrFind(client: Client, { tree }: StartOptions, signal: AbortSignal): Promise<string> {
  const note = await readNote(client, signal);
  if (note !== undefined) {
    const { count, all } = await countKeys(client, signal);
    say(
      `Found the data of an earlier start: ${all ? '' : 'more than '}${plural(count, 'key')}, ` +
        `among them ${plural(note.files, 'file')} (${formatBytes(note.bytes)}) imported on ${note.finished.slice(0, 10)}. Nothing to import.`,
    );
    return note.example;
  }
  const { count } = await countKeys(client, signal);
  if (count > 0) say(`Found ${plural(count, 'key')}, but no completed import. Importing.`);
  return importAndVerify(client, tree, signal);
}

async function importAndVerify(client: Client, tree: string, signal: AbortSignal): Promise<string> {
  const root = Buffer.from(tree);
  const prefix = Buffer.from(TREE_PREFIX);
  const call = { signal };
  const totals = await measureTree(root, signal);
  say(
    `Importing ${shown(tree)}: ${formatCount(totals.files)} files, ${formatBytes(totals.bytes)}; the key is the path, the value is the content.`,
  );
  const progress = startProgress('importing', totals);
  try {
    const result = await importTree(client, root, {
      prefix,
      call,
      onProgress: (files, bytes) => progress.advance(files, bytes),
      onProblem: (line) => progress.note(line),
    });
    progress.stop();
    say(`Imported ${importSummary(result, progress.elapsedMs())}. Every write is on disk.`);
    const sample = await verifySample(client, root, prefix, call);
    say(`Read ${plural(sample.files, 'file')} (${formatBytes(sample.bytes)}) back and compared: all the same, byte for byte.`);
    const example = sample.example === undefined ? START_KEY : TREE_PREFIX + sample.example;
    const note: StartNote = { files: result.files, bytes: result.bytes, finished: new Date().toISOString(), example };
    await client.put(START_KEY, JSON.stringify(note), call);
    return example;
  } finally {
    progress.stop();
  }
}

/** Undefined when there is none, or something else lies under its key. */
async function readNote(client: Client, signal: AbortSignal): Promise<StartNote | undefined> {
  const value = await client.get(START_KEY, { signal });
  if (value === undefined) return undefined;
  try {
    const note = JSON.parse(Buffer.from(value).toString('utf8')) as Partial<StartNote> | null;
    const { files, bytes, finished, example } = note ?? {};
    if (typeof files !== 'number' || typeof bytes !== 'number' || typeof finished !== 'string' || typeof example !== 'string')
      return undefined;
    return { files, bytes, finished, example };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function countKeys(client: Client, signal: AbortSignal): Promise<{ count: number; all: boolean }> {
  let count = 0;
  for await (const _ of client.scan({ keysOnly: true, limit: COUNT_MAX, signal })) count++;
  return { count, all: count < COUNT_MAX };
}

function whatToTry(example: string, address: string): string {
  const program = `npx sparrowkv`;
  const server = address === DEFAULT_ADDRESS ? '' : ` --server ${address}`;
  const directory = example.slice(0, example.lastIndexOf('/') + 1);
  return `
Try, in another terminal, in this directory:

  ${program} get${server} ${example}
  ${program} scan${server} --prefix ${directory} --keys-only
  ${program} put${server} greeting hello
  ${program} get${server} greeting
  ${program} export${server} --prefix ${directory} --dir ./copy
  ${program} status${server}
  ${program} --help

The server runs until Ctrl-C.`;
}

/** Settles at Ctrl-C; throws when the server ends by itself. */
async function over(server: ServerProcess, signal: AbortSignal): Promise<void> {
  const interrupted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const end = await Promise.race([interrupted, server.ended]);
  if (end !== undefined)
    throw new SparrowError(
      'unavailable',
      'SERVER_ENDED',
      `the server ended by itself (${end}); what was acknowledged is on disk, and the next start finds it`,
    );
}

function shown(path: string): string {
  const below = relative(process.cwd(), resolve(path));
  return below.startsWith('..') ? resolve(path) : `./${below}`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
