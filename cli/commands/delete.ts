/** `sparrowkv del KEY`. */
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
import { EXIT_OK } from '../exit.ts';
import { chunkRanges, manifestKey } from '../tree/layout.ts';
import { getManifest } from '../tree/read-chunks.ts';
import { writeUnits } from '../tree/write-units.ts';

const HELP = `
Deleting a key that is missing succeeds. A file that import stored in chunks goes with its chunks.

Example:
  sparrowkv del greeting
`;

export function addDelete(program: Command): void {
  const command = program.command('del').argument('<key>').description('delete a key').addHelpText('after', HELP);
  withServerOptions(withTableOption(withEscapesOption(command, 'KEY'))).action((key: string, options: ServerOptions & KeyOptions) =>
    remove(key, options),
  );
}

async function remove(name: string, options: ServerOptions & KeyOptions): Promise<void> {
  const key = argumentBytes(name, options);
  await withClient(options, async ({ store, call }) => {
    const manifest = await getManifest(store, key, call);
    const keys = manifest === undefined ? [key] : [key, manifestKey(key)];
    await writeUnits(store, [keys.map((each) => ({ key: each, value: undefined }))], call);
    if (manifest !== undefined) for (const [gte, lt] of chunkRanges(key)) await store.deleteRange({ gte, lt }, call);
    return EXIT_OK;
  });
}
