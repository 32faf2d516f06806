/** `sparrowkv put KEY VALUE|-`. */
import type { Command } from 'commander';

import { SparrowError } from '../../base/errors.ts';
import { ConditionFailedError } from '../../client/index.ts';
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
import { EXIT_NOT_FOUND, EXIT_OK } from '../exit.ts';

const HELP = `
With - as VALUE it is read from stdin, byte for byte. The value is on disk when the command ends.
When a condition does not hold nothing is written, and the exit code is 1.

Examples:
  sparrowkv put greeting hello
  sparrowkv put logo - < logo.png
  sparrowkv put --if-absent lock "$HOSTNAME"
`;

interface PutOptions extends ServerOptions, KeyOptions {
  ifAbsent?: boolean;
  ifVersion?: number;
}

export function addPut(program: Command): void {
  const command = program
    .command('put')
    .argument('<key>')
    .argument('<value>', 'the value, or - to read it from stdin')
    .description('store a value under a key')
    .option('--if-absent', 'only if the key is missing')
    .option('--if-version <version>', 'only if the key has this version', parseCount)
    .addHelpText('after', HELP);
  withServerOptions(withTableOption(withEscapesOption(command, 'KEY'))).action((key: string, value: string, options: PutOptions) =>
    put(key, value, options),
  );
}

async function put(name: string, text: string, options: PutOptions): Promise<void> {
  const key = argumentBytes(name, options);
  await withClient(options, async ({ client, store, call }) => {
    const value = text === '-' ? await readStdin((await client.limits(call)).valueBytesMax) : Buffer.from(text, 'utf8');
    const batch = store.batch().put(key, value);
    if (options.ifAbsent === true) batch.ifAbsent(key);
    if (options.ifVersion !== undefined) batch.ifVersion(key, options.ifVersion);
    try {
      await store.write(batch, call);
    } catch (error) {
      if (!(error instanceof ConditionFailedError)) throw error;
      const found = error.current === undefined ? 'the key is missing' : `the key has version ${error.current.version}`;
      process.stderr.write(`sparrowkv: not written: ${found}\n`);
      return EXIT_NOT_FOUND;
    }
    return EXIT_OK;
  });
}

/** No more is read than the server would take. */
async function readStdin(bytesMax: number): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > bytesMax) {
      throw new SparrowError(
        'invalid',
        'VALUE_TOO_LARGE',
        `stdin holds more than ${bytesMax} bytes, the largest value that the server takes`,
        {
          field: 'value',
          limit: bytesMax,
        },
      );
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
