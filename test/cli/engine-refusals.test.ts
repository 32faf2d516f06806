/** What `sparrowkv engine ...` and `sparrowkv help ...` say when something is not as it must be, on real directories. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SparrowError } from '../../base/errors.ts';
import { plainMessage } from '../../base/rpc-status.ts';
import { exitCodeOf, messageOf } from '../../cli/exit.ts';
import { open } from '../../engine/index.ts';
import { withNextStep } from '../../engine/next-step.ts';
import { type Finished, runCli } from './cli-process.ts';

let directory: string;
let store: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-refusals-'));
  store = join(directory, 'store');
  const engine = await open(store, { memtableBytes: 64 * 1024 });
  for (let i = 0; i < 500; i++) await engine.put(`key/${i}`, 'x'.repeat(100));
  await engine.close();
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function said(...operands: string[]): Promise<{ code: number | null; stderr: string }> {
  const { code, stderr }: Finished = await runCli(operands);
  return { code, stderr };
}

function damage(path: string): void {
  const bytes = readFileSync(path);
  bytes[300]! ^= 1;
  writeFileSync(path, bytes);
}

describe('help', () => {
  it('explains a command of a command', async () => {
    const shown = await runCli(['help', 'engine', 'verify']);
    expect([shown.code, shown.stdout.toString()]).toEqual([
      0,
      expect.stringMatching(/^Usage: sparrowkv engine verify \[options\] <dir>\n/),
    ]);
    expect((await runCli(['engine', 'help', 'verify'])).stdout.toString()).toBe(shown.stdout.toString());
  });

  it('of what is no command is wrong usage', async () => {
    expect(await said('help', 'nonsense')).toEqual({
      code: 2,
      stderr: expect.stringMatching(/^error: there is no command 'nonsense'; there are: server, get, .*engine, help\n/) as string,
    });
    expect(await said('help', 'engine', 'nonsense')).toEqual({
      code: 2,
      stderr: expect.stringContaining("there is no command 'engine nonsense'; there are: verify, ") as string,
    });
  });

  it('is where wrong usage of a command points to', async () => {
    expect(await said('engine', 'verify')).toEqual({
      code: 2,
      stderr: "error: missing required argument 'dir'\n(sparrowkv help engine verify explains usage)\n",
    });
  });
});

describe('engine commands', () => {
  it('take a directory that is not empty for a mistake in the command line', async () => {
    for (const operands of [
      ['checkpoint', store, directory],
      ['backup', store, directory],
    ]) {
      expect(await said('engine', ...operands)).toEqual({ code: 2, stderr: expect.stringContaining('[NOT_EMPTY]') as string });
    }
  });

  it('say what a directory is that holds no store', async () => {
    const none = join(directory, 'none');
    expect(await said('engine', 'verify', none)).toEqual({ code: 2, stderr: `sparrowkv: ${none} does not exist [NOT_A_STORE]\n` });
    const file = join(store, 'CURRENT');
    expect(await said('engine', 'verify', file)).toEqual({ code: 2, stderr: `sparrowkv: ${file} is not a directory [NOT_A_STORE]\n` });
  });

  it('name the next step for a damaged store', async () => {
    const table = readdirSync(store).find((name) => name.endsWith('.table'))!;
    damage(join(store, table));
    const next = `"sparrowkv engine verify ${store}" tells what is damaged; "sparrowkv engine repair ${store}" keeps what is sound.\n`;
    expect(await said('engine', 'backup', store, join(directory, 'backups'))).toEqual({
      code: 4,
      stderr: expect.stringMatching(new RegExp(`\\[CORRUPT_STORE\\]\n${next}$`)) as string,
    });
    rmSync(join(store, table));
    const missing = `sparrowkv: ${join(store, table)} is part of the store, by its manifest, and is missing [FILE_MISSING]\n${next}`;
    expect(await said('engine', 'compact', store)).toEqual({ code: 4, stderr: missing });
  });
});

describe('a message', () => {
  it('for what the engine says to programs has the words of the shell', () => {
    const cannotLink = new SparrowError('invalid', 'CANNOT_LINK', 'must be on the same file system, or be allowed to copy (copy: true)');
    expect(messageOf(cannotLink)).toBe('sparrowkv: must be on the same file system, or be allowed to copy (--copy) [CANNOT_LINK]');
    const failed = new SparrowError(
      'closed',
      'BACKGROUND_FAILED',
      "it failed; opened again, and verify('/d') tells whether files are damaged",
      {
        directory: '/d',
      },
    );
    expect(messageOf(failed)).toBe(
      'sparrowkv: it failed; opened again [BACKGROUND_FAILED]\n' +
        '"sparrowkv engine verify /d" tells what is damaged; "sparrowkv engine repair /d" keeps what is sound.',
    );
    const damaged = new SparrowError('corrupt', 'CORRUPT_TABLE', '/d/000001.table is corrupt at offset 0', { file: '/d/000001.table' });
    for (const state of ['open', 'closed'] as const) {
      expect(messageOf(withNextStep(damaged, '/d', state))).toBe(
        'sparrowkv: /d/000001.table is corrupt at offset 0 [CORRUPT_TABLE]\n' +
          '"sparrowkv engine verify /d" tells what is damaged; "sparrowkv engine repair /d" keeps what is sound.',
      );
    }
  });
});

describe('a server that is not reached', () => {
  const text = (details: string): string =>
    messageOf(new SparrowError('unavailable', 'UNREACHABLE', `cannot reach a:1: ${plainMessage(details)}`));

  it.each([
    [
      'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1',
      'connect ECONNREFUSED 127.0.0.1:1',
      'Is a server running there?',
    ],
    ['No connection established. Last error: Failed to connect (2026-11-22T01:41:26.877Z)', 'Failed to connect', 'does it speak TLS'],
    [
      'No connection established. Last error: 402D0293A57F0000:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:../deps/x.c:77:\n',
      'SSL routines: wrong version number',
      'does it speak TLS',
    ],
    [
      'No connection established. Last error: unable to verify the first certificate; if the root CA is installed locally, try running Node.js with --use-system-ca',
      'unable to verify the first certificate',
      '--tls-authority FILE',
    ],
  ])('says why, in short, and what may be wrong: %s', (details, why, hint) => {
    const [first, second] = text(details).split('\n');
    expect(first).toBe(`sparrowkv: cannot reach a:1: ${why} [UNREACHABLE]`);
    expect(second).toContain(hint);
  });
});

describe('the exit code', () => {
  it.each([
    [1, 'conflict', 'CONDITION_FAILED'],
    [2, 'invalid', 'OPERATION'],
    [3, 'unavailable', 'SHARD_BUSY'],
    [3, 'unavailable', 'TIMEOUT'],
    [4, 'unavailable', 'TOO_FEW_NODES'],
    [4, 'unavailable', 'NO_ROOM'],
    [4, 'unavailable', 'OPERATOR_FAILED'],
    [4, 'exhausted', 'DISK_FULL'],
  ] as const)('is %i for %s/%s: 3 says that trying again may do', (code, kind, name) => {
    expect(exitCodeOf(new SparrowError(kind, name, ''))).toBe(code);
  });
});
