/** `sparrowkv get KEY`: a value's bytes on stdout, nothing else. */
import type { Command } from 'commander';

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
import { escapeBytes } from '../terminal/escape.ts';
import { Output } from '../terminal/output.ts';
import { getManifest, readChunks } from '../tree/read-chunks.ts';

const HELP = `
The value is written as it is, without a newline. A file that import stored in chunks is joined.
Exits with 1 when the key is missing.

Examples:
  sparrowkv get greeting
  sparrowkv get docs/logo.png > logo.png
  sparrowkv get -e 'odd\\x00key'
`;

export function addGet(program: Command): void {
  const command = program.command('get').argument('<key>').description('print the value of a key').addHelpText('after', HELP);
  withServerOptions(withTableOption(withEscapesOption(command, 'KEY'))).action((key: string, options: ServerOptions & KeyOptions) =>
    get(key, options),
  );
}

async function get(name: string, options: ServerOptions & KeyOptions): Promise<void> {
  const key = argumentBytes(name, options);
  const output = new Output(process.stdout);
  await withClient(options, async ({ store, call }) => {
    const value = await store.get(key, call);
    if (value !== undefined) {
      await output.write(value);
      await output.finish();
      return EXIT_OK;
    }
    const manifest = await getManifest(store, key, call);
    if (manifest === undefined) {
      process.stderr.write(`sparrowkv: ${escapeBytes(key)}: not found\n`);
      return EXIT_NOT_FOUND;
    }
    for await (const chunk of readChunks(store, key, manifest, call)) await output.write(chunk);
    await output.finish();
    return EXIT_OK;
  });
}
