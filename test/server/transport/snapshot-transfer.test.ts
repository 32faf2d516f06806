/** Snapshots between real nodes: whole or not at all, resumed where they broke, at no more than the rate that they may have. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeFileSystem } from '../../../base/node/index.ts';
import { SparrowError } from '../../../base/errors.ts';
import { DirectorySource, IncomingSnapshot, type SnapshotHead, type SnapshotSink } from '../../../server/transport/index.ts';
import { createHash, hash } from './hash.ts';
import { heartbeat, node, pair, Relay, type TestNode, until } from './nodes.ts';

const fileSystem = new NodeFileSystem();
const HEAD = {
  term: 5,
  snapshot: {
    index: 900,
    term: 4,
    configuration: { voters: [1, 2], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false },
  },
  id: '1-00c0ffee',
};

let root: string;
let source: string;
let target: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sparrowkv-snapshot-'));
  [source, target] = [join(root, 'source'), join(root, 'incoming')];
  mkdirSync(source);
  mkdirSync(target);
  const sizes = { CURRENT: 16, '000001.table': 3_000_000, '000002.table': 700_001, 'MANIFEST-000003': 0 };
  for (const [i, [name, bytes]] of Object.entries(sizes).entries()) {
    writeFileSync(join(source, name), Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 31 + (at >>> 8) + i) & 0xff)));
  }
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const directorySource = (id = HEAD.id): DirectorySource => new DirectorySource(fileSystem, source, { ...HEAD, id });

/** Takes what comes into `target`; tells where each fetch began. */
function accepting(
  { transport }: TestNode,
  wrap: (sink: SnapshotSink) => SnapshotSink = (sink) => sink,
): { heads: SnapshotHead[]; begins: number[] } {
  const seen = { heads: [] as SnapshotHead[], begins: [] as number[] };
  transport.onSnapshot(async (_, head) => {
    const sink = await IncomingSnapshot.open({ fileSystem, directory: target, hash, createHash }, head);
    seen.heads.push(head);
    seen.begins.push(sink.position.file * 1e9 + sink.position.offset);
    return wrap(sink);
  });
  return seen;
}

function expectReceived(): void {
  const files = join(target, 'files');
  expect(readdirSync(files).toSorted()).toEqual(readdirSync(source).toSorted());
  for (const name of readdirSync(source)) expect(readFileSync(join(files, name)).equals(readFileSync(join(source, name)))).toBe(true);
  expect(IncomingSnapshot.found({ fileSystem, directory: target, hash, createHash })).toMatchObject({ complete: true });
}

describe('a snapshot', () => {
  it('is the same on the other side, and messages pass it by', async () => {
    const [one, two] = await pair({ snapshotBytesPerSecond: 8_000_000 });
    await using _ = one;
    await using __ = two;
    const seen = accepting(two);
    const sent = one.transport.sendSnapshot(2, 7, directorySource());
    await until(() => two.transport.stats().peers[0]!.snapshotBytesReceived > 0);
    one.transport.send(2, [heartbeat(1, 2, 3)]);
    await until(() => two.received.length === 1);
    expect(two.transport.stats().peers[0]!.snapshotBytesReceived).toBeLessThan(3_700_017);
    await expect(one.transport.sendSnapshot(2, 7, directorySource())).rejects.toMatchObject({ code: 'SNAPSHOT_UNDER_WAY' });
    await sent;
    expectReceived();
    expect(seen.heads).toMatchObject([{ ...HEAD, group: 7 }]);
    expect(one.transport.stats().peers[0]).toMatchObject({ snapshotBytesSent: 3_700_017 });
  });

  it('goes on where it was when the connection breaks', async () => {
    await using one = await node(1, { chunkBytes: 64 * 1024 });
    await using two = await node(2, { chunkBytes: 64 * 1024 });
    await using relay = await Relay.to(one.transport.address);
    one.transport.addPeer(2, two.transport.address);
    two.transport.addPeer(1, relay.address);
    await until(() => one.transport.reachable(2));
    const { begins } = accepting(two);
    relay.cutAfterBytes = 1_000_000;
    await one.transport.sendSnapshot(2, 7, directorySource());
    expectReceived();
    expect(relay.cuts).toBeGreaterThanOrEqual(3);
    expect(begins.length).toBeGreaterThanOrEqual(4);
    expect(begins).toEqual(begins.toSorted((a, b) => a - b));
    expect(new Set(begins).size).toBe(begins.length);
    // What was there was not sent again, but for what was on its way.
    expect(two.transport.stats().peers[0]!.snapshotBytesReceived).toBe(3_700_017);
  });

  it('goes on where it was when the receiver is started again', async () => {
    const [one, two] = await pair({ snapshotBytesPerSecond: 4_000_000, chunkBytes: 64 * 1024 });
    await using _ = one;
    accepting(two);
    const sent = one.transport.sendSnapshot(2, 7, directorySource());
    await until(() => two.transport.stats().peers[0]!.snapshotBytesReceived > 500_000);
    await two.transport.close();
    await using again = await node(2, {}, { listen: two.transport.address });
    const { begins } = accepting(again);
    again.transport.addPeer(1, one.transport.address);
    await sent;
    expectReceived();
    expect(begins[0]).toBeGreaterThan(500_000);
  });

  it('is sent at its rate', async () => {
    const [one, two] = await pair({ snapshotBytesPerSecond: 5_000_000, chunkBytes: 64 * 1024 });
    await using _ = one;
    await using __ = two;
    accepting(two);
    const begin = performance.now();
    await one.transport.sendSnapshot(2, 7, directorySource());
    // 3.7 MB at 5 MB/s, but for what may be sent at once.
    expect(performance.now() - begin).toBeGreaterThan(600);
    expectReceived();
  });

  it('that the host does not want, or cannot take, is refused with its reason', async () => {
    const [one, two] = await pair();
    await using _ = one;
    await using __ = two;
    two.transport.onSnapshot(() => {
      throw new SparrowError('invalid', 'STALE', 'there is a later one here', { index: 1000 });
    });
    await expect(one.transport.sendSnapshot(2, 7, directorySource())).rejects.toMatchObject({
      kind: 'invalid',
      code: 'STALE',
      details: { index: 1000 },
    });
    let closed = 0;
    accepting(two, (sink) => ({
      get position() {
        return sink.position;
      },
      write: () => {
        throw new SparrowError('exhausted', 'DISK_FULL', 'no room');
      },
      endFile: (check) => sink.endFile(check),
      finish: () => sink.finish(),
      close: () => {
        closed++;
        sink.close();
      },
    }));
    await expect(one.transport.sendSnapshot(2, 7, directorySource('x'))).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(closed).toBe(1);
    accepting(two);
    await one.transport.sendSnapshot(2, 7, directorySource());
    expectReceived();
  });

  it('of a file that changes meanwhile is not taken', async () => {
    const [one, two] = await pair();
    await using _ = one;
    await using __ = two;
    accepting(two);
    const changed = directorySource();
    writeFileSync(join(source, '000001.table'), Buffer.alloc(100));
    await expect(one.transport.sendSnapshot(2, 7, changed)).rejects.toMatchObject({ code: 'SNAPSHOT_FILE' });
    expect(IncomingSnapshot.found({ fileSystem, directory: target, hash, createHash })).toMatchObject({ complete: false });
  });

  it('that nobody fetches is given up, as is one that is not wanted any more', async () => {
    await using one = await node(1, { snapshotStallMsMax: 100 });
    one.transport.addPeer(2, '127.0.0.1:1');
    await expect(one.transport.sendSnapshot(3, 7, directorySource())).rejects.toMatchObject({ code: 'NOT_A_PEER' });
    await expect(one.transport.sendSnapshot(2, 7, directorySource())).rejects.toMatchObject({ kind: 'unavailable', code: 'UNREACHABLE' });
    const abort = new AbortController();
    const sent = one.transport.sendSnapshot(2, 7, directorySource(), abort.signal);
    abort.abort();
    await expect(sent).rejects.toMatchObject({ kind: 'cancelled' });
    await expect(one.transport.sendSnapshot(2, 7, directorySource(), abort.signal)).rejects.toMatchObject({ kind: 'cancelled' });
    const closing = one.transport.sendSnapshot(2, 7, directorySource());
    await one.transport.close();
    await expect(closing).rejects.toMatchObject({ kind: 'closed' });
  });

  it('whose sender gives up ends at the receiver too', async () => {
    const [one, two] = await pair({ snapshotBytesPerSecond: 2_000_000 });
    await using _ = one;
    await using __ = two;
    let closed = 0;
    accepting(two, (sink) => ({
      get position() {
        return sink.position;
      },
      write: (bytes) => sink.write(bytes),
      endFile: (check) => sink.endFile(check),
      finish: () => sink.finish(),
      close: () => {
        closed++;
        sink.close();
      },
    }));
    const abort = new AbortController();
    const sent = one.transport.sendSnapshot(2, 7, directorySource(), abort.signal);
    await until(() => two.transport.stats().peers[0]!.snapshotBytesReceived > 0);
    abort.abort();
    await expect(sent).rejects.toMatchObject({ code: 'ABORTED' });
    await until(() => closed === 1);
  });
});
