/** TLS by settings: what clients meet, and what nodes show each other. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { connect, type TlsOptions } from '../../client/index.ts';
import { runCli } from '../cli/cli-process.ts';
import { ServerHarness } from '../e2e/server-harness.ts';
import { TestCluster } from './test-cluster.ts';

/** An authority with certificates of a node and a client, and another authority with one of a stranger, all for localhost. */
const file = (name: string): string => fileURLToPath(new URL(`../tls/${name}.pem`, import.meta.url));
const key = (name: string): string => fileURLToPath(new URL(`../tls/${name}.key`, import.meta.url));
const pem = (path: string): string => readFileSync(path, 'utf8');
const pair = (name: string): { certificate: string; key: string } => ({ certificate: file(name), key: key(name) });
const shown = (name: string): { certificate: string; key: string } => ({ certificate: pem(file(name)), key: pem(key(name)) });
const authority = pem(file('authority'));
const impatient = { timeoutMs: 5000, waitForServerMs: 0 };

let open: AsyncDisposable | undefined;
afterEach(async () => {
  await open?.[Symbol.asyncDispose]();
  open = undefined;
});

describe('a server with a certificate', () => {
  it('is spoken to by who trusts it, and by nobody else', async () => {
    const harness = (open = await ServerHarness.start({ tls: pair('node') })) as ServerHarness;
    const { address } = harness.server;
    await using trusting = connect(address, { tls: { authority } });
    await trusting.put('k', 'v');
    for (const transport of ['session', 'unary'] as const) {
      await using other = connect(address, { transport, tls: { authority } });
      expect(Buffer.from((await other.get('k'))!).toString()).toBe('v');
    }
    await using doubting = connect(address, { ...impatient, tls: { authority: pem(file('other-authority')) } });
    await expect(doubting.get('k')).rejects.toMatchObject({ kind: 'unavailable' });
    await using plain = connect(address, impatient);
    await expect(plain.get('k')).rejects.toMatchObject({ kind: 'unavailable' });
    const got = await runCli(['get', '--server', address, '--tls-authority', file('authority'), 'k']);
    expect([got.code, got.stdout.toString()]).toEqual([0, 'v']);
  });

  it('that asks for certificates takes those of its authority', async () => {
    const harness = (open = await ServerHarness.start({ tls: { ...pair('node'), clientAuthority: file('authority') } })) as ServerHarness;
    const { address } = harness.server;
    await using known = connect(address, { tls: { authority, ...shown('client') } });
    await known.put('k', 'v');
    for (const unknown of [{}, shown('stranger')]) {
      await using client = connect(address, { ...impatient, tls: { authority, ...unknown } });
      await expect(client.get('k')).rejects.toMatchObject({ kind: 'unavailable' });
    }
    const unasked = await runCli(['get', '--server', address, '--tls-authority', file('authority'), '--timeout', '2', 'k']);
    expect([unasked.code, unasked.stderr]).toEqual([3, expect.stringContaining('--tls-certificate FILE and --tls-key FILE')]);
  });

  it.each([
    [{ tls: { certificate: 'none.pem', key: key('node') } }, 'tls.certificate', 'none.pem'],
    [{ tls: { certificate: key('node'), key: key('node') } }, 'tls.certificate', 'no certificate'],
    [{ tls: { certificate: file('node'), key: file('node') } }, 'tls.key', ''],
    [{ tls: { certificate: file('node'), key: key('client') } }, 'tls.key', 'not the key of the certificate'],
    [{ tls: { ...pair('node'), clientAuthority: key('node') } }, 'tls.clientAuthority', 'no certificate'],
    [{ peerListen: '127.0.0.1:1', peerTls: { ...pair('node'), authority: 'none' } }, 'peerTls.authority', 'none'],
  ])('does not begin with files that make no sense: %#', async (settings, field, what) => {
    await expect(ServerHarness.start({ ...settings, listen: '127.0.0.1:2' })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'TLS_FILE',
      message: expect.stringContaining(what),
      details: { field },
    });
  });
});

describe('a client', () => {
  it.each([
    [{ authority: file('authority') }, 'tls.authority'],
    [{ certificate: pem(file('client')) }, 'tls.key'],
    [{ key: pem(key('client')) }, 'tls.certificate'],
    [{ ca: authority }, 'ca'],
  ])('is told what is wrong with what it was given: %#', (tls, field) => {
    expect(() => connect('127.0.0.1:1', { tls: tls as TlsOptions })).toThrow(
      expect.objectContaining({ kind: 'invalid', details: expect.objectContaining({ field }) as object }) as Error,
    );
  });
});

describe('nodes with certificates', () => {
  it('are a cluster; one with the certificate of another authority is not heard', async () => {
    const peerTls = { ...pair('node'), authority: file('authority') };
    const cluster = (open = await TestCluster.start(3, { peerTls })) as TestCluster;
    await using client = cluster.client({ timeoutMs: 60_000 });
    await client.put('k', 'v');
    await cluster.settled();
    await cluster.stop(3);
    await cluster.start(3, { peerTls: { ...pair('stranger'), authority: file('other-authority') } });
    await client.put('k', 'w');
    // Longer than a node that is heard would need.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const [one, three] = [(await cluster.status(1)).replica!, (await cluster.status(3)).replica!];
    expect([three.leaderId, three.lastIndex < one.lastIndex]).toEqual([0, true]);
    await cluster.stop(3);
    await cluster.start(3);
    await cluster.settled();
  });
});
