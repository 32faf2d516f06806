/** Nodes on loopback, and a way between them that can be cut without a word. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import { NodeClock, NodeRandom, NodeScheduler } from '../../../base/node/index.ts';
import type { SparrowError } from '../../../base/errors.ts';
import {
  type GroupMessage,
  GrpcTransport,
  type PeerMessage,
  type TransportParts,
  type TransportSettings,
} from '../../../server/transport/index.ts';
import { createHash, hash } from './hash.ts';

export const CLUSTER = 0xfeedn;
/** Of a test that waits for what must come: against hanging. */
const WAIT_MS_MAX = 60_000;

export interface TestNode extends AsyncDisposable {
  readonly id: number;
  readonly transport: GrpcTransport;
  readonly received: { from: number; group: number; message: PeerMessage }[];
  readonly refusals: SparrowError[];
}

export async function node(
  id: number,
  settings: Partial<TransportSettings> = {},
  {
    listen = '127.0.0.1:0',
    cluster = CLUSTER,
    whyNoPeer,
  }: { listen?: string; cluster?: bigint; whyNoPeer?: TransportParts['whyNoPeer'] } = {},
): Promise<TestNode> {
  const received: TestNode['received'] = [];
  const refusals: SparrowError[] = [];
  const parts = {
    clock: new NodeClock(),
    scheduler: new NodeScheduler(),
    random: new NodeRandom(),
    hash,
    createHash,
    serverCredentials: ServerCredentials.createInsecure(),
    channelCredentials: ChannelCredentials.createInsecure(),
    ...(whyNoPeer && { whyNoPeer }),
    onRefused: (_: number | undefined, error: SparrowError): void => void refusals.push(error),
  };
  const identity = { cluster, node: id, incarnation: BigInt(parts.random.u32()) };
  const transport = await GrpcTransport.listen(listen, identity, parts, {
    reconnectMsFirst: 10,
    reconnectMsMax: 50,
    offerMs: 20,
    ...settings,
  });
  transport.onMessages((from, messages) => {
    for (const { group, message } of messages) received.push({ from, group, message });
  });
  return { id, transport, received, refusals, [Symbol.asyncDispose]: () => transport.close() };
}

/** Two nodes that know each other, and hear each other. */
export async function pair(settings: Partial<TransportSettings> = {}): Promise<[TestNode, TestNode]> {
  const [one, two] = [await node(1, settings), await node(2, settings)];
  one.transport.addPeer(2, two.transport.address);
  two.transport.addPeer(1, one.transport.address);
  await until(() => one.transport.reachable(2) && two.transport.reachable(1));
  return [one, two];
}

/** Waits for what must become so. */
export async function until(condition: () => boolean): Promise<void> {
  for (const begin = performance.now(); !condition();) {
    if (performance.now() - begin > WAIT_MS_MAX) throw new Error(`it did not become so: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function heartbeat(from: number, to: number, round: number, group = 1): GroupMessage {
  return { group, message: { type: 'heartbeat-request', from, to, term: 1, commit: 0, round, sleep: false } };
}

export function append(from: number, to: number, index: number, data: Uint8Array): GroupMessage {
  const entries = [{ index, term: 1, data }];
  return {
    group: 1,
    message: { type: 'append-request', from, to, term: 1, previousIndex: index - 1, previousTerm: 1, commit: 0, entries },
  };
}

/** A relay of TCP connections to an address. */
export class Relay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();
  #muted = false;
  /** Connections are cut when so many bytes have come back from the other side; from then on anew. */
  cutAfterBytes: number = Infinity;
  connections = 0;
  cuts = 0;

  static async to(address: string): Promise<Relay> {
    const relay = new Relay(address);
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  private constructor(address: string) {
    const [host, port] = address.split(':') as [string, string];
    this.#server = createServer((near) => {
      this.connections++;
      const far = connect(Number(port), host);
      let bytes = 0;
      const end = (): void => {
        near.destroy();
        far.destroy();
      };
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', end);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          end();
        });
        if (this.#muted) socket.pause();
      }
      near.on('data', (data) => far.write(data));
      far.on('data', (data) => {
        near.write(data);
        bytes += data.length;
        if (bytes < this.cutAfterBytes) return;
        this.cuts++;
        end();
      });
    });
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Nothing gets through in either direction, and nobody is told. */
  mute(): void {
    this.#muted = true;
    for (const socket of this.#sockets) socket.pause();
  }

  unmute(): void {
    this.#muted = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
