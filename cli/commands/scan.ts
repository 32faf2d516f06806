/** `sparrowkv scan`: keys and values in order, one entry a line. */
import type { Command } from 'commander';

import type { ScanOptions } from '../../client/index.ts';
import {
  argumentBytes,
  type KeyOptions,
  parseCount,
  type ServerOptions,
  withClient,
  withEscapesOption,
  withServerOptions,
  withTableOption,
} from '../client-command.ts';
import { EXIT_OK } from '../exit.ts';
import { escapeBytes } from '../terminal/escape.ts';
import { entryToJson } from '../terminal/json-entry.ts';
import { Output } from '../terminal/output.ts';

const HELP = `
Each line is a key, a tab and a value. Bytes that are not printable are escaped: \\n \\t \\xNN, a
backslash as \\\\. On a terminal long values are cut to the line; into a file or pipe they go whole.
With --json each line is {"key":"...","value":"..."}, or keyBase64 and valueBase64 for what is not
UTF-8: "sparrowkv import --jsonl" reads it back.

Examples:
  sparrowkv scan --prefix docs/ --keys-only
  sparrowkv scan --gte 2024-01 --lt 2024-02 --json > january.jsonl
  sparrowkv scan --reverse --limit 10
`;

interface ScanCommandOptions extends ServerOptions, KeyOptions {
  prefix?: string;
  gte?: string;
  lt?: string;
  reverse?: boolean;
  limit?: number;
  keysOnly?: boolean;
  json?: boolean;
}

export function addScan(program: Command): void {
  const command = program
    .command('scan')
    .description('list keys and values in order')
    .option('--prefix <prefix>', 'only keys that begin with this')
    .option('--gte <key>', 'from this key on')
    .option('--lt <key>', 'up to this key, without it')
    .option('--reverse', 'from the last key to the first')
    .option('--limit <count>', 'at most so many entries', parseCount)
    .option('--keys-only', 'without values')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', HELP);
  withServerOptions(withTableOption(withEscapesOption(command, 'PREFIX and KEY'))).action((options: ScanCommandOptions) => scan(options));
}

async function scan(options: ScanCommandOptions): Promise<void> {
  const range: ScanOptions = { reverse: options.reverse === true, keysOnly: options.keysOnly === true };
  if (options.prefix !== undefined) range.prefix = argumentBytes(options.prefix, options);
  if (options.gte !== undefined) range.gte = argumentBytes(options.gte, options);
  if (options.lt !== undefined) range.lt = argumentBytes(options.lt, options);
  if (options.limit !== undefined) range.limit = options.limit;
  const line = lineFormat(options, process.stdout.isTTY ? process.stdout.columns : undefined);
  const output = new Output(process.stdout);
  await withClient(options, async ({ store, call }) => {
    for await (const [key, value] of store.scan({ ...range, ...call })) await output.write(line(key, value));
    await output.finish();
    return EXIT_OK;
  });
}

function lineFormat(options: ScanCommandOptions, columns: number | undefined): (key: Uint8Array, value: Uint8Array) => string {
  if (options.json === true) return (key, value) => `${entryToJson(key, options.keysOnly === true ? undefined : value)}\n`;
  if (options.keysOnly === true) return (key) => `${escapeBytes(key)}\n`;
  if (columns === undefined) return (key, value) => `${escapeBytes(key)}\t${escapeBytes(value)}\n`;
  return (key, value) => {
    const shownKey = escapeBytes(key);
    return `${shownKey}\t${preview(value, Math.max(20, columns - shownKey.length - 8))}\n`;
  };
}

/** As much of a value as fits, and how long it is when it does not. */
function preview(value: Uint8Array, columns: number): string {
  const shown = escapeBytes(value.subarray(0, columns));
  if (shown.length <= columns && value.length <= columns) return shown;
  const note = ` (${value.length.toLocaleString('en-US')} bytes)`;
  return `${shown.slice(0, Math.max(8, columns - note.length - 3))}...${note}`;
}
