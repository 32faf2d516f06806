/**
 * The way between two nodes, each a process, over loopback: node bench/server/transport.ts [--seconds 2] [--json]
 *
 * For each size of entries: append requests of about 64 KiB as fast as they go, with a bounded number of bytes waiting. Then heartbeats of 1,000 groups, ten times a
 * second's worth at once. CPU is that of each whole process, by the entry, and by the heartbeat. First the codec alone, in this process.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import xxhash from 'xxhash-wasm';
import { NodeClock, NodeRandom, NodeScheduler } from '../../base/node/index.ts';
import type { Message } from '../../server/raft/index.ts';
import { type GroupMessage, GrpcTransport, PacketWriter, readPacket } from '../../server/transport/index.ts';

const ENTRY_BYTES = [100, 1024, 64 * 1024];
const APPEND_BYTES: number = 64 * 1024;
const WAITING_BYTES: number = 4 * 1024 * 1024;
const GROUPS = 1000;

interface Figures {
  readonly what: string;
  /** Entries, or heartbeats. */
  readonly each: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly packets: number;
  readonly senderCpuUs: number;
  readonly receiverCpuUs: number;
}

/** What the receiver's process has done so far. */
interface Received {
  readonly messages: number;
  readonly entries: number;
  readonly cpuUs: number;
}

const { h64Raw, create64 } = await xxhash();

async function listen(node: number): Promise<GrpcTransport> {
  const parts = {
    clock: new NodeClock(),
    scheduler: new NodeScheduler(),
    random: new NodeRandom(),
    hash: h64Raw,
    createHash: () => create64(),
    serverCredentials: ServerCredentials.createInsecure(),
    channelCredentials: ChannelCredentials.createInsecure(),
  };
  return GrpcTransport.listen('127.0.0.1:0', { cluster: 1n, node, incarnation: 1n }, parts);
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function append(index: number, count: number, data: Uint8Array): GroupMessage {
  const entries = Array.from({ length: count }, (_, i) => ({ index: index + i, term: 1, data }));
  const message: Message = {
    type: 'append-request',
    from: 1,
    to: 2,
    term: 1,
    previousIndex: index - 1,
    previousTerm: 1,
    commit: index - 1,
    entries,
  };
  return { group: 1, message };
}

function heartbeats(round: number): GroupMessage[] {
  return Array.from({ length: GROUPS }, (_, i) => ({
    group: i + 1,
    message: { type: 'heartbeat-request', from: 1, to: 2, term: 12, commit: 3_000_000 + i * 999, round, sleep: false },
  }));
}

/** Node 2: counts, and says when asked. */
async function receive(): Promise<void> {
  const transport = await listen(2);
  let messages = 0;
  let entries = 0;
  transport.onMessages((_, batch) => {
    messages += batch.length;
    for (const { message } of batch) if (message.type === 'append-request') entries += message.entries.length;
  });
  process.on('message', (said: { peer?: string }) => {
    if (said.peer !== undefined) transport.addPeer(1, said.peer);
    process.send!({ address: transport.address, messages, entries, cpuUs: cpuUs() });
  });
  process.on('disconnect', () => process.exit(0));
}

function codec(): void {
  const batch = heartbeats(70_000);
  const writer = new PacketWriter(1, 2, h64Raw);
  let best = { write: Infinity, read: Infinity };
  let bytes = 0;
  for (let round = 0; round < 300; round++) {
    const begin = performance.now();
    for (const { group, message } of batch) writer.add(group, message);
    const packet = writer.take();
    const between = performance.now();
    readPacket(packet, 1, 2, h64Raw);
    const end = performance.now();
    bytes = packet.length;
    best = { write: Math.min(best.write, between - begin), read: Math.min(best.read, end - between) };
  }
  const ns = (ms: number): string => ((ms * 1e6) / GROUPS).toFixed(0);
  console.log(
    `heartbeats of ${GROUPS} groups: ${(bytes / GROUPS).toFixed(1)} bytes, ${ns(best.write)} ns to write, ${ns(best.read)} ns to read, each`,
  );
}

async function send(seconds: number, json: boolean): Promise<void> {
  if (!json) codec();
  const child = fork(fileURLToPath(import.meta.url), ['--receiver']);
  const ask = async (said: object): Promise<Received & { address: string }> => {
    const answer = once(child, 'message');
    child.send(said);
    return ((await answer) as [Received & { address: string }])[0];
  };
  const transport = await listen(1);
  const { address } = await ask({ peer: transport.address });
  transport.addPeer(2, address);
  while (!transport.reachable(2)) await new Promise((resolve) => setTimeout(resolve, 10));
  const stats = (): ReturnType<GrpcTransport['stats']>['peers'][number] => transport.stats().peers[0]!;

  /** Runs for a while; `next` gives what is sent and how many things that is. */
  const run = async (what: string, next: () => { messages: readonly GroupMessage[]; each: number }): Promise<Figures> => {
    const before = { receiver: await ask({}), stats: stats(), cpuUs: cpuUs() };
    const begin = performance.now();
    let each = 0;
    let messages = 0;
    while (performance.now() - begin < seconds * 1000) {
      while (stats().queuedBytes < WAITING_BYTES) {
        const some = next();
        each += some.each;
        messages += some.messages.length;
        transport.send(2, some.messages);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    let after = await ask({});
    while (after.messages - before.receiver.messages < messages) after = await ask({});
    const took = (performance.now() - begin) / 1000;
    const dropped = Object.values(stats().dropped).reduce((sum, count) => sum + count);
    if (dropped > 0) throw new Error(`${dropped} messages were dropped`);
    return {
      what,
      each,
      seconds: took,
      bytes: stats().sent.bytes - before.stats.sent.bytes,
      packets: stats().sent.packets - before.stats.sent.packets,
      senderCpuUs: cpuUs() - before.cpuUs,
      receiverCpuUs: after.cpuUs - before.receiver.cpuUs,
    };
  };

  const figures: Figures[] = [];
  const runs = ENTRY_BYTES.map((bytes) => {
    const data = Buffer.alloc(bytes, 'sparrow');
    const count = Math.max(1, Math.floor(APPEND_BYTES / bytes));
    let index = 1;
    return {
      what: `entries of ${bytes} bytes`,
      next: () => {
        const messages = [append(index, count, data)];
        index += count;
        return { messages, each: count };
      },
    };
  });
  let round = 70_000;
  runs.push({ what: `heartbeats of ${GROUPS} groups`, next: () => ({ messages: heartbeats(round++), each: GROUPS }) });
  // Twice: the first time warms up.
  for (const warm of [false, true]) {
    for (const { what, next } of runs) {
      const result = await run(what, next);
      if (warm) figures.push(result);
    }
  }
  if (json) console.log(JSON.stringify(figures));
  else for (const line of figures) console.log(lineOf(line));
  await transport.close();
  child.disconnect();
  await once(child, 'exit');
}

function lineOf({ what, each, seconds, bytes, packets, senderCpuUs, receiverCpuUs }: Figures): string {
  const perSecond = Math.round(each / seconds).toLocaleString('en');
  const megabytes = (bytes / seconds / 1e6).toFixed(0);
  return (
    `${what}: ${megabytes} MB/s, ${perSecond} a second, ${Math.round(bytes / packets / 1024)} KiB a packet; ` +
    `CPU of one, sender ${(senderCpuUs / each).toFixed(3)} us, receiver ${(receiverCpuUs / each).toFixed(3)} us; ` +
    `of a megabyte ${((senderCpuUs / bytes) * 1e6).toFixed(0)} and ${((receiverCpuUs / bytes) * 1e6).toFixed(0)} us`
  );
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
    receiver: { type: 'boolean', default: false },
  },
});
if (values.receiver) await receive();
else await send(Number(values.seconds), values.json);
