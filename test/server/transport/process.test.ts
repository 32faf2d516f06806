/** A peer whose process is killed, or stands still: noticed, and spoken with again when it is back. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { heartbeat, node, type TestNode, until } from './nodes.ts';

const PROGRAM = fileURLToPath(new URL('peer-process.ts', import.meta.url));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Node 2, which knows node 1. */
async function start(one: TestNode, listen = '127.0.0.1:0'): Promise<{ child: ChildProcess; address: string }> {
  const child = spawn(process.execPath, [PROGRAM, '2', listen, '1', one.transport.address], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, address: line.toString().trim() };
}

/** A heartbeat goes there and comes back. */
async function spokenWith(one: TestNode, round: number): Promise<void> {
  await until(() => one.transport.reachable(2) && one.transport.stats().peers[0]!.heard);
  one.transport.send(2, [heartbeat(1, 2, round)]);
  await until(() => one.received.some(({ message }) => (message as { round?: number }).round === round));
}

it('a peer that is killed is noticed at once, and spoken with when it was started again', async () => {
  await using one = await node(1);
  const first = await start(one);
  one.transport.addPeer(2, first.address);
  await spokenWith(one, 1);
  const { incarnation } = one.transport.stats().peers[0]!;
  first.child.kill('SIGKILL');
  await until(() => !one.transport.reachable(2) && !one.transport.stats().peers[0]!.heard);
  await start(one, first.address);
  await spokenWith(one, 2);
  expect(one.transport.stats().peers[0]!.incarnation).not.toBe(incarnation);
});

it('a peer that stands still is noticed by keepalive, and spoken with when it goes on', async () => {
  await using one = await node(1, { keepaliveMs: 100, keepaliveTimeoutMs: 200, openMsMax: 500 });
  const { child, address } = await start(one);
  one.transport.addPeer(2, address);
  await spokenWith(one, 1);
  child.kill('SIGSTOP');
  await until(() => !one.transport.reachable(2) && !one.transport.stats().peers[0]!.heard);
  child.kill('SIGCONT');
  await spokenWith(one, 2);
  expect(one.transport.stats().peers[0]!.reconnects).toBeGreaterThan(0);
});
