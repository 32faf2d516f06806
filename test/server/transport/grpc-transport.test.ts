/** Messages between real nodes on loopback: in order, refused where they do not belong, and back after whatever happens to a connection. */
import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import { append, CLUSTER, heartbeat, node, pair, Relay, until } from './nodes.ts';
import { oneOfEach } from './messages.ts';

const rounds = (received: readonly { message: object }[]): number[] => received.map(({ message }) => (message as { round: number }).round);

describe('messages', () => {
  it('of every type arrive, in both directions', async () => {
    const [one, two] = await pair();
    await using _ = one;
    await using __ = two;
    one.transport.send(2, oneOfEach());
    two.transport.send(1, [heartbeat(2, 1, 5)]);
    await until(() => two.received.length === oneOfEach().length && one.received.length === 1);
    expect(two.received.map(({ from, group, message: { type } }) => [from, group, type])).toEqual(
      oneOfEach().map(({ group, message }) => [1, group, message.type]),
    );
    expect(one.received).toMatchObject([{ from: 2, group: 1, message: { round: 5 } }]);
  });

  it('of one turn share packets, and keep their order', async () => {
    const [one, two] = await pair();
    await using _ = one;
    await using __ = two;
    const data = Buffer.alloc(1000, 1);
    for (let i = 1; i <= 2000; i++) one.transport.send(2, [i % 2 === 0 ? heartbeat(1, 2, i) : append(1, 2, i, data)]);
    await until(() => two.received.length === 2000);
    const order = two.received.map(({ message }) =>
      message.type === 'append-request' ? message.previousIndex + 1 : (message as { round: number }).round,
    );
    expect(order).toEqual(Array.from({ length: 2000 }, (_, i) => i + 1));
    const [stats] = one.transport.stats().peers;
    expect(stats).toMatchObject({
      peer: 2,
      sent: { messages: 2000 },
      queuedMessages: 0,
      queuedBytes: 0,
      dropped: { entries: 0, broken: 0 },
      reconnects: 0,
    });
    expect(stats!.sent.packets).toBeLessThan(10);
    const [heard] = two.transport.stats().peers;
    expect(heard!.received).toEqual(stats!.sent);
  });

  it('of many megabytes arrive whole', async () => {
    const [one, two] = await pair();
    await using _ = one;
    await using __ = two;
    const data = Buffer.alloc(20 * 1024 * 1024, 'sparrow');
    one.transport.send(2, [append(1, 2, 1, data), heartbeat(1, 2, 1)]);
    await until(() => two.received.length === 2);
    const { message } = two.received[0]!;
    expect(message.type === 'append-request' && data.equals(message.entries[0]!.data)).toBe(true);
  });

  it('to nobody, and larger than the other side takes, are dropped and counted', async () => {
    await using alone = await node(1, { messageBytesMax: 10_000 });
    alone.transport.send(2, [heartbeat(1, 2, 1)]);
    expect(alone.transport.stats()).toEqual({ peers: [], droppedNoPeer: 1 });
    alone.transport.addPeer(2, '127.0.0.1:1');
    expect(alone.transport.reachable(2)).toBe(false);
    alone.transport.send(2, [heartbeat(1, 2, 1), heartbeat(1, 2, 2)]);
    await until(() => alone.transport.stats().peers[0]!.lastError !== undefined);
    expect(alone.transport.stats().peers).toMatchObject([
      { reachable: false, heard: false, dropped: { unreachable: 2 }, sent: { messages: 0 } },
    ]);
    expect(alone.transport.stats().peers[0]!.lastError).toContain('ECONNREFUSED');
    await using two = await node(2);
    two.transport.addPeer(1, alone.transport.address);
    await until(() => alone.transport.reachable(2));
    alone.transport.send(2, [append(1, 2, 1, new Uint8Array(20_000)), heartbeat(1, 2, 3)]);
    await until(() => two.received.length === 1);
    expect(alone.transport.stats().peers[0]!.dropped).toMatchObject({ 'too-large': 1 });
    expect(() => alone.transport.addPeer(1, '127.0.0.1:1')).toThrow(expect.objectContaining({ code: 'NODE_ID' }));
  });
});

describe('a node', () => {
  it('of another cluster is refused, by either side', async () => {
    await using one = await node(1);
    await using other = await node(2, {}, { cluster: CLUSTER + 1n });
    one.transport.addPeer(2, other.transport.address);
    other.transport.addPeer(1, one.transport.address);
    await until(() => one.refusals.length > 2 && other.refusals.length > 2);
    expect(new Set([...one.refusals, ...other.refusals].map(({ code }) => code))).toEqual(new Set(['OTHER_CLUSTER']));
    expect(one.transport.reachable(2)).toBe(false);
    expect(one.transport.stats().peers[0]!.lastError).toMatch(/^OTHER_CLUSTER: /);
  });

  it('at the address of another is refused', async () => {
    await using one = await node(1);
    await using three = await node(3);
    one.transport.addPeer(2, three.transport.address);
    three.transport.addPeer(1, one.transport.address);
    await until(() => one.refusals.some(({ code }) => code === 'OTHER_NODE') && one.refusals.some(({ code }) => code === 'NOT_A_PEER'));
    expect(one.transport.stats().peers).toMatchObject([{ peer: 2, reachable: false, heard: false }]);
  });

  it('that is removed is neither heard nor spoken to, until it is added again', async () => {
    const [one, two] = await pair();
    await using _ = one;
    await using __ = two;
    one.transport.removePeer(2);
    expect(one.transport.reachable(2)).toBe(false);
    await until(() => two.transport.stats().peers[0]!.lastError?.startsWith('NOT_A_PEER') === true && !two.transport.reachable(1));
    one.transport.addPeer(2, two.transport.address);
    await until(() => one.transport.reachable(2) && two.transport.reachable(1));
  });

  it('may change its address', async () => {
    const [one, two] = await pair();
    await using _ = one;
    await two.transport.close();
    await using moved = await node(2);
    moved.transport.addPeer(1, one.transport.address);
    one.transport.addPeer(2, moved.transport.address);
    await until(() => one.transport.reachable(2) && moved.transport.reachable(1));
    moved.transport.send(1, [heartbeat(2, 1, 1)]);
    await until(() => one.received.length === 1);
    expect(one.transport.stats().peers).toMatchObject([{ peer: 2, address: moved.transport.address, heard: true }]);
  });

  it('that ends is noticed, and is back after it was started again', async () => {
    const [one, two] = await pair();
    await using _ = one;
    const { address } = two.transport;
    const incarnations = new Set();
    for (let life = 0; life < 3; life++) {
      if (life === 0) await two.transport.close();
      await until(() => !one.transport.reachable(2));
      one.transport.send(2, [heartbeat(1, 2, 0)]);
      await using again = await node(2, {}, { listen: address });
      again.transport.addPeer(1, one.transport.address);
      await until(() => one.transport.reachable(2) && again.transport.reachable(1));
      one.transport.send(2, [heartbeat(1, 2, life)]);
      await until(() => again.received.length === 1);
      expect(rounds(again.received)).toEqual([life]);
      incarnations.add(one.transport.stats().peers[0]!.incarnation);
    }
    const [stats] = one.transport.stats().peers;
    expect(stats).toMatchObject({ reconnects: 3, dropped: { unreachable: 3 } });
    expect(incarnations.size).toBe(3);
  });
});

describe('a connection', () => {
  it('over which nothing comes any more is given up and made anew', async () => {
    const keepalive = { keepaliveMs: 200, keepaliveTimeoutMs: 200 };
    await using one = await node(1, keepalive);
    await using two = await node(2, keepalive);
    await using relay = await Relay.to(one.transport.address);
    one.transport.addPeer(2, two.transport.address);
    two.transport.addPeer(1, relay.address);
    await until(() => one.transport.reachable(2) && two.transport.stats().peers[0]!.heard);
    relay.mute();
    // Nobody was told: the sender's side notices by itself, and the receiver's.
    await until(() => !one.transport.reachable(2) && !two.transport.stats().peers[0]!.heard);
    relay.unmute();
    await until(() => one.transport.reachable(2) && two.transport.stats().peers[0]!.heard);
    one.transport.send(2, [heartbeat(1, 2, 9)]);
    await until(() => rounds(two.received).includes(9));
    expect(two.transport.stats().peers).toMatchObject([{ reconnects: 1, lastError: undefined }]);
  });

  it('that takes nothing fills a bounded queue: entries are dropped first, what was taken arrives in order', async () => {
    const settings = {
      queueBytesMax: 1 << 20,
      reserveBytes: 1 << 16,
      windowBytes: 1 << 16,
      unsentBytesMax: 1 << 17,
      packetBytes: 1 << 16,
      keepaliveMs: 60_000,
    };
    await using one = await node(1, settings);
    await using two = await node(2, settings);
    await using relay = await Relay.to(one.transport.address);
    one.transport.addPeer(2, two.transport.address);
    two.transport.addPeer(1, relay.address);
    await until(() => one.transport.reachable(2));
    relay.mute();
    const stats = (): ReturnType<typeof one.transport.stats>['peers'][number] => one.transport.stats().peers[0]!;
    // More than windows and the system's buffers take.
    const data = Buffer.alloc(32 * 1024, 7);
    let index = 0;
    while (stats().dropped.entries < 10) {
      for (let i = 0; i < 4; i++) one.transport.send(2, [append(1, 2, ++index, data)]);
      await new Promise((resolve) => setImmediate(resolve));
      expect(stats().queuedBytes).toBeLessThan((1 << 20) + (1 << 18) + 4 * data.length);
    }
    one.transport.send(2, [heartbeat(1, 2, 1), append(1, 2, ++index, data), heartbeat(1, 2, 2)]);
    expect(stats().dropped).toMatchObject({ others: 0, broken: 0 });
    const { entries } = stats().dropped;
    relay.unmute();
    await until(() => rounds(two.received).includes(2));
    const sent = two.received.flatMap(({ message }) => (message.type === 'append-request' ? [message.previousIndex + 1] : []));
    expect(sent.length + entries).toBe(index);
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    expect(stats()).toMatchObject({ queuedMessages: 0, queuedBytes: 0, sent: { messages: sent.length + 2 } });
  });
});

it('every message is sent, dropped for a reason, or waits, however often connections break', async () => {
  await using one = await node(1, { queueBytesMax: 1 << 20 });
  await using two = await node(2);
  await using relay = await Relay.to(one.transport.address);
  one.transport.addPeer(2, two.transport.address);
  two.transport.addPeer(1, relay.address);
  await until(() => one.transport.reachable(2));
  relay.cutAfterBytes = 2_000_000;
  const data = Buffer.alloc(10_000, 3);
  let given = 0;
  while (relay.cuts < 4) {
    for (let i = 0; i < 20; i++, given += 2) one.transport.send(2, [append(1, 2, i + 1, data), heartbeat(1, 2, given)]);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await until(() => one.transport.stats().peers[0]!.queuedMessages === 0);
  const { sent, dropped } = one.transport.stats().peers[0]!;
  expect(sent.messages + Object.values(dropped).reduce((sum, count) => sum + count)).toBe(given);
  expect(dropped.unreachable).toBeGreaterThan(0);
  expect(two.received.length).toBeLessThanOrEqual(sent.messages);
  // Heartbeats that arrived are in the order in which they were sent, over all connections.
  const beats = rounds(two.received.filter(({ message }) => message.type === 'heartbeat-request'));
  expect(beats).toEqual(beats.toSorted((a, b) => a - b));
});

it('a transport that is closed leaves nothing behind', async () => {
  const [one, two] = await pair();
  await Promise.all([one.transport.close(), two.transport.close()]);
  await one.transport.close();
  expect(one.transport.reachable(2)).toBe(false);
  one.transport.send(2, [heartbeat(1, 2, 1)]);
  expect(() => one.transport.addPeer(3, '127.0.0.1:1')).toThrow(expect.objectContaining({ code: 'TRANSPORT_CLOSED' }));
  // The port is free again.
  await using again = await node(1, {}, { listen: one.transport.address });
  expect(again.transport.address).toBe(one.transport.address);
});

describe('a probe', () => {
  it('finds a node that is where it should be, whether or not it knows this one', async () => {
    await using one = await node(1);
    await using two = await node(2);
    await expect(one.transport.probe(2, two.transport.address)).resolves.toBeUndefined();
    two.transport.addPeer(1, one.transport.address);
    await expect(one.transport.probe(2, two.transport.address)).resolves.toBeUndefined();
  });

  it('says who is there instead, or that nobody is', async () => {
    await using one = await node(1);
    await using two = await node(2);
    await using other = await node(3, {}, { cluster: CLUSTER + 1n });
    const { address } = two.transport;
    await expect(one.transport.probe(4, address)).rejects.toMatchObject({ kind: 'invalid', code: 'OTHER_NODE' });
    await expect(one.transport.probe(3, other.transport.address)).rejects.toMatchObject({ kind: 'invalid', code: 'OTHER_CLUSTER' });
    await two.transport.close();
    await expect(one.transport.probe(2, address)).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'NODE_UNREACHABLE',
      details: { applied: false },
    });
  });
});

it('a node that was removed is told so, at once and when it comes back', async () => {
  const removed = new SparrowError('invalid', 'NODE_REMOVED', 'node 2 was removed');
  const gone = new Set<number>();
  await using one = await node(1, {}, { whyNoPeer: (id) => (gone.has(id) ? removed : undefined) });
  await using two = await node(2);
  one.transport.addPeer(2, two.transport.address);
  two.transport.addPeer(1, one.transport.address);
  await until(() => one.transport.reachable(2) && two.transport.reachable(1));
  gone.add(2);
  one.transport.removePeer(2);
  const told = (): number => two.refusals.filter(({ code }) => code === 'NODE_REMOVED').length;
  await until(() => told() > 1);
  expect(one.transport.reachable(2)).toBe(false);
});

describe('a node that runs twice', () => {
  it('is refused where it is not the one at the known address, and the other one goes on', async () => {
    const [one, two] = await pair();
    await using _ = one;
    await using __ = two;
    await using copy = await node(2);
    copy.transport.addPeer(1, one.transport.address);
    await until(() => copy.refusals.length > 0);
    expect(copy.refusals[0]).toMatchObject({ kind: 'invalid', code: 'NODE_TWICE', details: { node: 2, address: two.transport.address } });
    expect(one.transport.stats().peers[0]).toMatchObject({ reachable: true, reconnects: 0 });
    one.transport.send(2, [heartbeat(1, 2, 7)]);
    await until(() => two.received.length === 1);
    expect(copy.received).toEqual([]);
    expect(two.refusals).toEqual([]);
  });

  it('is refused, too, when the other one was away and comes back', async () => {
    await using one = await node(1);
    const away = await node(2);
    const { address } = away.transport;
    await away.transport.close();
    one.transport.addPeer(2, address);
    await using copy = await node(2);
    copy.transport.addPeer(1, one.transport.address);
    await until(() => one.transport.reachable(2));
    expect(copy.refusals).toEqual([]);
    await using back = await node(2, {}, { listen: address });
    back.transport.addPeer(1, one.transport.address);
    await until(() => copy.refusals.length > 0);
    expect(copy.refusals[0]).toMatchObject({ code: 'NODE_TWICE' });
    one.transport.send(2, [heartbeat(1, 2, 7)]);
    await until(() => back.received.length === 1);
    expect(back.refusals).toEqual([]);
  });

  it('is none that was started again', async () => {
    const [one, two] = await pair();
    await using _ = one;
    const { address } = two.transport;
    await two.transport.close();
    await using again = await node(2, {}, { listen: address });
    again.transport.addPeer(1, one.transport.address);
    await until(() => one.transport.reachable(2) && again.transport.reachable(1));
    one.transport.send(2, [heartbeat(1, 2, 7)]);
    await until(() => again.received.length === 1);
    expect(again.refusals).toEqual([]);
  });
});
