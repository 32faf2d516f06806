/**
 * Something real to look at: a directory tree, imported into a table of several shards, and a sample of it read back.
 *
 * That the import was completed is noted in the store itself, under START_KEY; a start that finds the note imports nothing.
 */
import { type Client, type KeyValues } from '../../client/index.ts';
import { formatBytes, formatCount, plural, type Progress, startProgress } from '../terminal/progress.ts';
import { importTree } from '../tree/import-tree.ts';
import { importSummary } from '../tree/summary.ts';
import { madeTable, TABLE } from './made-table.ts';
import { say, shown } from './say.ts';
import { verifySample } from './verify-sample.ts';

const START_KEY = 'sparrowkv/start';
/** More are not counted: that would take longer than somebody watches. */
const COUNT_MAX = 100_000;

/** What START_KEY holds, as JSON. */
interface StartNote {
  files: number;
  bytes: number;
  finished: string;
  /** A key for examples. */
  example: string;
}

export interface Meanwhile {
  /** Says a line without disturbing the bar. */
  note(line: string): void;
  /** Whether files are still being imported. */
  importing(): boolean;
}

export interface FillOptions {
  readonly tree: string;
  readonly signal: AbortSignal;
  /** Of each shard of the table that is made. */
  readonly replicas: number;
  /** Something to be done while files are imported: begun when a part of them is. The sample is read when it is done, too. */
  readonly meanwhile?: (meanwhile: Meanwhile) => Promise<void>;
}

/** Of the tree's bytes are imported when `meanwhile` begins. */
const MEANWHILE_PART = 0.25;

/** Returns a key to show in examples. */
export async function fillOrFind(client: Client, options: FillOptions): Promise<string> {
  const store = client.table(TABLE);
  const note = await readNote(client, options.signal);
  if (note !== undefined) {
    say('Counting what is there ...');
    const { count, all } = await countKeys(store, options.signal);
    say(
      `Found the data of an earlier start: ${all ? '' : 'more than '}${plural(count, 'key')}, ` +
        `among them ${plural(note.files, 'file')} (${formatBytes(note.bytes)}) imported on ${note.finished.slice(0, 10)}. Nothing to import.`,
    );
    return note.example;
  }
  const { totals, found } = await madeTable(client, options);
  if (found) say('Counting what is there ...');
  const { count } = found ? await countKeys(store, options.signal) : { count: 0 };
  if (count > 0) say(`Found ${plural(count, 'key')}, but no completed import. Importing.`);
  return importAndVerify(client, store, totals, options);
}

async function importAndVerify(
  client: Client,
  store: KeyValues,
  totals: { files: number; bytes: number },
  { tree, signal, meanwhile }: FillOptions,
): Promise<string> {
  const root = Buffer.from(tree);
  const prefix = Buffer.alloc(0);
  const call = { signal };
  const beganMs = Date.now();
  say(
    `Importing ${shown(tree)}: ${formatCount(totals.files)} files, ${formatBytes(totals.bytes)}; the key is the path, the value is the content.`,
  );
  const progress = startProgress('importing', totals);
  const aside = new Aside(progress, totals.bytes * MEANWHILE_PART, meanwhile);
  try {
    const imported = importTree(store, root, {
      limits: await client.limits(call),
      prefix,
      call,
      onProgress: (files, bytes) => {
        progress.advance(files, bytes);
        aside.advance(bytes);
      },
      onProblem: (line) => progress.note(line),
    });
    const [result] = await Promise.all([imported, Promise.race([aside.failed, imported])]);
    progress.stop();
    say(`Imported ${importSummary(result, progress.elapsedMs())}. Every write is on disk.`);
    await aside.done();
    const sample = await verifySample(store, root, prefix, beganMs, call);
    say(`Read ${plural(sample.files, 'file')} (${formatBytes(sample.bytes)}) back and compared: all the same, byte for byte.`);
    const example = sample.example ?? '';
    const note: StartNote = { files: result.files, bytes: result.bytes, finished: new Date().toISOString(), example };
    await client.put(START_KEY, JSON.stringify(note), call);
    return example;
  } finally {
    progress.stop();
  }
}

/** What is done while the import runs. */
class Aside {
  /** Settles when it fails, and only then. */
  readonly failed: Promise<never>;
  readonly #progress: Progress;
  readonly #meanwhile: FillOptions['meanwhile'];
  #bytesLeft: number;
  #importing = true;
  #running: Promise<void> | undefined;
  #fail: (error: unknown) => void = () => undefined;

  constructor(progress: Progress, afterBytes: number, meanwhile: FillOptions['meanwhile']) {
    this.#progress = progress;
    this.#bytesLeft = afterBytes;
    this.#meanwhile = meanwhile;
    this.failed = new Promise<never>((_, reject) => (this.#fail = reject));
    // Nobody may be listening any more when it fails.
    this.failed.catch(() => undefined);
  }

  advance(bytes: number): void {
    this.#bytesLeft -= bytes;
    if (this.#bytesLeft <= 0) this.#begin();
  }

  /** The import is over. It is done also when nothing was imported. */
  done(): Promise<void> {
    this.#importing = false;
    this.#begin();
    return this.#running ?? Promise.resolve();
  }

  #begin(): void {
    if (this.#running !== undefined || this.#meanwhile === undefined) return;
    this.#running = this.#meanwhile({ note: (line) => this.#progress.note(line), importing: () => this.#importing });
    this.#running.catch((error: unknown) => this.#fail(error));
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

async function countKeys(store: KeyValues, signal: AbortSignal): Promise<{ count: number; all: boolean }> {
  let count = 0;
  for await (const _ of store.scan({ keysOnly: true, limit: COUNT_MAX, signal })) count++;
  return { count, all: count < COUNT_MAX };
}
