import { describe, expect, it } from 'vitest';
import { SimDatagrams } from './sim-datagrams.ts';
import { type LinkSettings, SimLinks } from './sim-links.ts';
import { type Closed, type SimConnection, type SimEndpoint, SimNetwork } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';
import { SimScheduler } from './sim-scheduler.ts';
import { TraceHash } from './trace-hash.ts';

interface Seen {
  readonly frames: number[];
  closed: Closed | undefined;
}

class Net {
  readonly scheduler = new SimScheduler();
  readonly links: SimLinks;
  readonly trace = new TraceHash();
  readonly network: SimNetwork;
  readonly a: SimEndpoint;
  readonly b: SimEndpoint;
  readonly atB: Seen = { frames: [], closed: undefined };
  farEnd: SimConnection | undefined;

  constructor(seed = 1, settings: Partial<LinkSettings> = {}) {
    this.links = new SimLinks(this.scheduler, new SimRandom(seed), settings);
    this.network = new SimNetwork(this.links, this.trace, { stallMs: 1000 });
    this.a = this.network.endpoint('a');
    this.b = this.network.endpoint('b');
    this.b.listen((connection) => {
      this.farEnd = connection;
      return note(this.atB);
    });
  }

  connect(): { connection: SimConnection; seen: Seen } {
    const seen: Seen = { frames: [], closed: undefined };
    return { connection: this.a.connect('b', note(seen)), seen };
  }
}

function note(seen: Seen): { frame(bytes: Uint8Array): void; closed(why: Closed): void } {
  return {
    frame: (bytes) => void seen.frames.push(bytes[0]!),
    closed: (why) => {
      expect(seen.closed).toBeUndefined();
      seen.closed = why;
    },
  };
}

function sendAll(connection: SimConnection, from: number, to: number): number[] {
  const numbers = Array.from({ length: to - from }, (_, i) => from + i);
  for (const number of numbers) connection.send(Uint8Array.of(number));
  return numbers;
}

describe('a connection', () => {
  it('delivers in order, whatever the delays, both ways', async () => {
    const net = new Net(3, { spikeChance: 0.3 });
    const { connection, seen } = net.connect();
    const sent = sendAll(connection, 0, 50);
    await net.scheduler.advance(2000);
    expect(net.atB.frames).toEqual(sent);
    expect(sendAll(net.farEnd!, 0, 20)).toHaveLength(20);
    await net.scheduler.advance(1000);
    expect(seen.frames).toHaveLength(20);
    expect(connection.inFlight).toBe(0);
    net.farEnd!.close();
    await net.scheduler.advance(100);
    expect(seen.closed).toBe('closed by the peer');
    expect([connection.open, net.atB.closed]).toEqual([false, undefined]);
  });

  it('takes longer for more bytes', async () => {
    const net = new Net(1, { bytesPerMs: 10, spikeChance: 0 });
    const { connection } = net.connect();
    await net.scheduler.advance(10);
    for (let i = 0; i < 3; i++) connection.send(new Uint8Array(1000).fill(i));
    await net.scheduler.advance(150);
    expect(net.atB.frames).toEqual([0]);
    await net.scheduler.advance(200);
    expect(net.atB.frames).toEqual([0, 1, 2]);
  });

  it('is refused where nobody listens, and times out where nothing answers', async () => {
    const net = new Net();
    net.network.end('b', 'process');
    const refused = net.connect().seen;
    await net.scheduler.advance(100);
    expect(refused.closed).toBe('refused');
    net.links.partition(['a'], ['b']);
    const lost = net.connect().seen;
    await net.scheduler.advance(900);
    expect(lost.closed).toBeUndefined();
    await net.scheduler.advance(1000);
    expect(lost.closed).toBe('timed out');
  });

  it('times out when the answer to its opening is lost with the process that gave it', async () => {
    const net = new Net();
    net.links.block('b', 'a');
    const { connection, seen } = net.connect();
    connection.send(Uint8Array.of(1));
    await net.scheduler.advance(50);
    expect(net.farEnd).toBeDefined();
    net.network.end('b', 'process');
    await net.scheduler.advance(2000);
    expect([seen.closed, connection.open]).toEqual(['timed out', false]);
  });

  it('outlives a short partition, without loss', async () => {
    const net = new Net();
    const { connection, seen } = net.connect();
    await net.scheduler.advance(10);
    net.links.partition(['a'], ['b']);
    sendAll(connection, 0, 10);
    await net.scheduler.advance(500);
    expect(net.atB.frames).toEqual([]);
    net.links.heal();
    await net.scheduler.advance(500);
    expect(net.atB.frames).toHaveLength(10);
    expect(seen.closed).toBeUndefined();
  });

  it('is half-open after a long one: who sends times out, the other learns by a reset', async () => {
    const net = new Net();
    const { connection, seen } = net.connect();
    await net.scheduler.advance(10);
    net.links.partition(['a'], ['b']);
    sendAll(connection, 0, 3);
    await net.scheduler.advance(2000);
    expect([seen.closed, net.atB.closed, net.farEnd!.open]).toEqual(['timed out', undefined, true]);
    net.links.heal();
    net.farEnd!.send(Uint8Array.of(1));
    await net.scheduler.advance(100);
    expect([net.atB.closed, seen.frames]).toEqual(['reset', []]);
  });

  it('under a partition of the way back delivers, and the sender does not know', async () => {
    const net = new Net();
    const { connection, seen } = net.connect();
    await net.scheduler.advance(10);
    net.links.block('b', 'a');
    connection.send(Uint8Array.of(7));
    await net.scheduler.advance(2000);
    expect([net.atB.frames, seen.closed]).toEqual([[7], 'timed out']);
  });

  it('that is severed loses what is in flight, and both ends learn of it', async () => {
    const net = new Net();
    const { connection, seen } = net.connect();
    await net.scheduler.advance(10);
    sendAll(connection, 0, 5);
    expect(net.network.sever('a', 'b')).toBe(1);
    await net.scheduler.advance(100);
    expect([net.atB.frames, seen.closed, net.atB.closed]).toEqual([[], 'reset', 'reset']);
  });

  it('that is mute one way sends into nothing until it times out', async () => {
    const net = new Net();
    const { connection, seen } = net.connect();
    await net.scheduler.advance(10);
    expect(net.network.mute('a', 'b')).toBe(1);
    connection.send(Uint8Array.of(1));
    net.farEnd!.send(Uint8Array.of(2));
    await net.scheduler.advance(2000);
    expect([net.atB.frames, seen.frames, seen.closed, net.atB.closed]).toEqual([[], [2], 'timed out', undefined]);
  });

  it('ends with the process; when the machine dies, only silence tells', async () => {
    const net = new Net();
    const { connection, seen } = net.connect();
    await net.scheduler.advance(10);
    net.network.end('b', 'machine');
    connection.send(Uint8Array.of(1));
    await net.scheduler.advance(300);
    expect(seen.closed).toBeUndefined();
    net.network.revive('b');
    await net.scheduler.advance(1000);
    expect([seen.closed, net.atB.closed]).toEqual(['reset', undefined]);

    const again = net.network.endpoint('b');
    again.listen(() => note({ frames: [], closed: undefined }));
    const second = net.connect();
    await net.scheduler.advance(10);
    net.network.end('b', 'process');
    await net.scheduler.advance(100);
    expect(second.seen.closed).toBe('reset');
  });
});

describe('datagrams', () => {
  interface Run {
    received: number[];
    counts: SimDatagrams<number>['counts'];
    hash: string;
  }
  async function run(seed: number, settings: Partial<LinkSettings>): Promise<Run> {
    const scheduler = new SimScheduler();
    const links = new SimLinks(scheduler, new SimRandom(seed), settings);
    const trace = new TraceHash();
    const datagrams = new SimDatagrams<number>(links, trace, { describe: String });
    const received: number[] = [];
    datagrams.listen('b', (_, message) => received.push(message));
    for (let i = 0; i < 200; i++) {
      datagrams.send('a', 'b', i);
      await scheduler.advance(0.2);
    }
    await scheduler.advance(1000);
    return { received, counts: datagrams.counts, hash: trace.hex };
  }

  it('come once and in order over good links', async () => {
    const { received } = await run(1, { spikeChance: 0.2 });
    expect(received).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  it('get lost, come twice, overtake each other; each seed its own way, always the same', async () => {
    const bad = { dropChance: 0.1, duplicateChance: 0.1, reorderChance: 0.5, spikeChance: 0.2 };
    const { received, counts, hash } = await run(1, bad);
    expect(Math.min(counts.dropped, counts.duplicated, counts.reordered)).toBeGreaterThan(5);
    expect(received.length).toBe(200 + counts.duplicated - counts.dropped);
    expect(received).not.toEqual(received.toSorted((a, b) => a - b));
    expect(new Set(received).size).toBeGreaterThan(150);
    expect((await run(1, bad)).hash).toBe(hash);
    expect((await run(2, bad)).hash).not.toBe(hash);
  });
});
