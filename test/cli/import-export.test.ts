/** Trees in and out of a real server, driven through the command line. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { chunkKey, linkKey, manifestKey } from '../../cli/tree/layout.ts';
import { encodeManifest } from '../../cli/tree/manifest.ts';
import { connect, type Client } from '../../client/index.ts';
import { ServerProcess } from '../e2e/server-process.ts';
import { type Finished, runCli, startCli } from './cli-process.ts';
import { content, makeOddTree, picture } from './odd-tree.ts';

let directory: string;
let server: ServerProcess;
let client: Client;
const cli = (...operands: string[]): Promise<Finished> => runCli(operands, { env: { SPARROWKV_SERVER: server.address } });
const keys = async (prefix: string): Promise<number> => {
  let count = 0;
  for await (const _ of client.scan({ prefix, keysOnly: true })) count++;
  return count;
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparrowkv-tree-'));
  server = await ServerProcess.start(join(directory, 'data'));
  client = connect(server.address);
  await makeOddTree(join(directory, 'odd'));
});

afterAll(async () => {
  await client.close();
  await server.end();
  await rm(directory, { recursive: true });
});

describe('a tree with everything odd', () => {
  it('comes back as it was', async () => {
    const imported = await cli('import', '--dir', join(directory, 'odd'), '--prefix', 'odd/');
    expect(imported).toMatchObject({ code: 0, stdout: Buffer.alloc(0) });
    expect(imported.stderr).toMatch(/imported 62\d files, \d+ MB in .*; 2 large ones in chunks, 3 links, 1 empty directory\n$/);
    const exported = await cli('export', '--dir', join(directory, 'odd out'), '--prefix', 'odd/');
    expect([exported.code, exported.stderr]).toEqual([0, expect.stringMatching(/exported 62\d files/)]);
    expect(await picture(join(directory, 'odd out'))).toEqual(await picture(join(directory, 'odd')));
  });

  it('is read by get, file by file', async () => {
    for (const name of ['plain.txt', 'empty', 'a/like a manifest', 'a/16777216', 'a/16777217', 'a/large']) {
      const { code, stdout } = await cli('get', `odd/${name}`);
      expect([name, code, stdout.equals(await readFile(join(directory, 'odd', name)))]).toEqual([name, 0, true]);
    }
    expect((await cli('get', 'odd/a')).code).toBe(1);
  });

  it('imported again replaces what is there, and leaves nothing over', async () => {
    const before = await keys('odd/');
    expect((await cli('import', '--dir', join(directory, 'odd'), '--prefix', 'odd/')).code).toBe(0);
    expect(await keys('odd/')).toBe(before);
  });
});

describe('an import over an older one', () => {
  it('changes forms: file, large file, link, directory', async () => {
    const root = join(directory, 'forms');
    const large = content(17 * 1024 * 1024, 1);
    const forms: Record<string, (path: string) => Promise<unknown>> = {
      file: (path) => writeFile(path, 'small'),
      large: (path) => writeFile(path, large),
      link: (path) => symlink('elsewhere', path),
      directory: (path) => mkdir(path),
    };
    const names = Object.keys(forms);
    await mkdir(root);
    for (const round of [0, 1, 2, 3]) {
      for (const [i, name] of names.entries()) {
        await rm(join(root, name), { recursive: true, force: true });
        await forms[names[(i + round) % 4]](join(root, name));
      }
      expect((await cli('import', '--dir', root, '--prefix', 'forms/')).code).toBe(0);
      const out = join(directory, `forms ${round}`);
      expect((await cli('export', '--dir', out, '--prefix', 'forms/')).code).toBe(0);
      expect(await picture(out)).toEqual(await picture(root));
      // One key for each of three, and a manifest with 17 chunks.
      expect(await keys('forms/')).toBe(3 + 18);
    }
  });

  it('takes the plain value of a path that was written over by hand, and del removes all of it', async () => {
    await writeFile(join(directory, 'forms', 'large'), content(17 * 1024 * 1024, 2));
    expect((await cli('put', 'forms/large', 'before')).code).toBe(0);
    expect((await cli('import', '--dir', join(directory, 'forms'), '--prefix', 'forms/')).code).toBe(0);
    expect((await cli('put', 'forms/large', 'by hand')).code).toBe(0);
    const out = join(directory, 'by hand');
    expect((await cli('export', '--dir', out, '--prefix', 'forms/')).code).toBe(0);
    expect(await readFile(join(out, 'large'), 'utf8')).toBe('by hand');
    expect((await cli('del', 'forms/large')).code).toBe(0);
    expect(await keys('forms/large')).toBe(0);
  });
});

describe('an import that is cut off', () => {
  it('goes on when the server was killed and started again', async () => {
    const data = join(directory, 'killed data');
    let victim = await ServerProcess.start(data);
    const operands = ['--server', victim.address, '--prefix', 't/'];
    const running = startCli(['import', '--dir', join(directory, 'odd'), ...operands]);
    const watcher = connect(victim.address);
    const puts = async (): Promise<number> => (await watcher.status()).engine?.puts ?? 0;
    for (let kill = 0; kill < 2; kill++) {
      const before = await puts();
      await expect.poll(async () => (await puts()) > before + 3, { interval: 5 }).toBe(true);
      await victim.end('SIGKILL');
      victim = await ServerProcess.start(data, victim.port);
    }
    await watcher.close();
    expect((await running.finished).code).toBe(0);
    expect((await runCli(['export', '--dir', join(directory, 'killed out'), ...operands])).code).toBe(0);
    expect(await picture(join(directory, 'killed out'))).toEqual(await picture(join(directory, 'odd')));
    await victim.end();
  });

  it('by Ctrl-C says so, and is completed by the next, which clears what was left', async () => {
    const root = join(directory, 'large only');
    await mkdir(root);
    await writeFile(join(root, 'large'), content(40_000_000, 9));
    const running = startCli(['import', '--dir', root, '--prefix', 'cut/', '--server', server.address]);
    await expect.poll(() => keys('cut/'), { interval: 5 }).toBeGreaterThan(0);
    running.kill('SIGINT');
    const { code, stderr } = await running.finished;
    expect([code, stderr]).toEqual([130, expect.stringContaining('run the same command again')]);
    const partial = await cli('export', '--dir', join(directory, 'cut partial'), '--prefix', 'cut/');
    expect([partial.code, partial.stderr]).toEqual([0, expect.stringContaining('passed over 1 file of imports that did not finish')]);
    expect((await cli('get', 'cut/large')).code).toBe(1);
    expect((await cli('import', '--dir', root, '--prefix', 'cut/')).code).toBe(0);
    expect(await keys('cut/')).toBe(1 + 39);
    expect((await cli('get', 'cut/large')).stdout.equals(content(40_000_000, 9))).toBe(true);
  });
});

describe('an export', () => {
  it('never writes outside its directory', async () => {
    const root = join(directory, 'jail', 'out');
    await mkdir(join(directory, 'jail'));
    const evil = ['../up', '/abs', 'a/../../up', './dot', 'x//y', 'z\0q', 'dir/..', '..', 'n'.repeat(256)];
    for (const path of evil) await client.put(`evil/${path}`, 'evil');
    await client.put('evil/', 'nameless');
    await client.put('evil/fine', 'fine');
    // A link to the outside, and a file below it.
    await client.put(linkKey(Buffer.from('evil/way')), '..');
    await client.put('evil/way/out', 'evil');
    // A file that is a directory too.
    await client.put('evil/both', 'file');
    await client.put('evil/both/inside', 'file');
    const { code, stderr } = await cli('export', '--dir', root, '--prefix', 'evil/');
    expect(code).toBe(1);
    for (const path of evil) expect(stderr).toContain(`left out evil/${path.replace('\0', '\\x00')}`);
    expect(stderr).toMatch(/left out evil\/way\/out: .*not a directory/);
    expect(stderr).toMatch(/left out evil\/both/);
    expect(await readdir(join(directory, 'jail'))).toEqual(['out']);
    expect(await readdir(directory)).not.toContain('up');
    expect(existsSync('/abs')).toBe(false);
    expect((await readdir(root)).sort()).toEqual(['both', 'fine', 'way']);
  });

  it('gives out no file that is not whole', async () => {
    const generation = new Uint8Array(8);
    const file = Buffer.from('torn/file');
    const manifest = { chunkBytes: 10, chunks: 2, fileBytes: 20, generation, sha256: new Uint8Array(32) };
    await client.put(manifestKey(file), encodeManifest(manifest));
    await client.put(chunkKey(file, generation, 0), '0123456789');
    const missing = await cli('export', '--dir', join(directory, 'torn'), '--prefix', 'torn/');
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('chunk 1 is missing')]);
    await client.put(chunkKey(file, generation, 1), '0123456789');
    const other = await cli('export', '--dir', join(directory, 'torn'), '--prefix', 'torn/');
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('not the one that was imported')]);
    await client.put(manifestKey(file), 'rubbish');
    expect((await cli('export', '--dir', join(directory, 'torn'), '--prefix', 'torn/')).stderr).toContain('manifest of torn/file');
    expect(await picture(join(directory, 'torn'))).toEqual([]);
  });

  it('leaves what is there alone unless it is told otherwise', async () => {
    const out = join(directory, 'taken');
    await mkdir(out);
    await writeFile(join(out, 'mine'), 'mine');
    await writeFile(join(directory, 'outside'), 'outside');
    await client.put('over/mine', 'theirs');
    await client.put('over/link', 'theirs');
    await symlink('../outside', join(out, 'link'));
    const refused = await cli('export', '--dir', out, '--prefix', 'over/');
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--overwrite')]);
    expect((await cli('export', '--dir', out, '--prefix', 'over/', '--overwrite')).code).toBe(0);
    expect(await readFile(join(out, 'mine'), 'utf8')).toBe('theirs');
    expect(await readFile(join(out, 'link'), 'utf8')).toBe('theirs');
    expect(await readFile(join(directory, 'outside'), 'utf8')).toBe('outside');
  });
});

describe('an import', () => {
  it('keeps to the limits of a server that takes less', async () => {
    const config = join(directory, 'small.yaml');
    await writeFile(config, 'maxValueBytes: 10000\nmaxKeyBytes: 300\nmaxWriteBytes: 20000\n');
    const small = await ServerProcess.start(join(directory, 'small data'), 0, ['--config', config, '--log-level', 'warn']);
    const root = join(directory, 'for the small');
    await mkdir(root);
    for (const bytes of [0, 9_999, 10_000, 10_001, 123_456]) await writeFile(join(root, String(bytes)), content(bytes, bytes));
    await writeFile(join(root, 'n'.repeat(255)), '');
    const imported = await runCli(['import', '--dir', root, '--server', small.address, '--prefix', 'p'.repeat(50)]);
    expect([imported.code, imported.stderr]).toEqual([1, expect.stringContaining('longer than 300 bytes')]);
    await unlink(join(root, 'n'.repeat(255)));
    for (const _ of [1, 2]) expect((await runCli(['import', '--dir', root, '--server', small.address, '--prefix', 't/'])).code).toBe(0);
    const out = join(directory, 'from the small');
    expect((await runCli(['export', '--dir', out, '--server', small.address, '--prefix', 't/'])).code).toBe(0);
    expect(await picture(out)).toEqual(await picture(root));
    await small.end();
  });

  it('names what it leaves out, stores the rest, and exits with 1', async () => {
    const root = join(directory, 'unfit');
    await mkdir(join(root, 'd'.repeat(200)), { recursive: true });
    await writeFile(join(root, 'fine'), 'fine');
    const { code, stderr } = await cli('import', '--dir', root, '--prefix', `unfit/${'p'.repeat(3_900)}/`);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/left out ddd[^:]*: its key would be longer than 4000 bytes/)]);
    expect(stderr).toContain('1 item LEFT OUT');
    expect(await keys('unfit/')).toBe(1);
  });
});
