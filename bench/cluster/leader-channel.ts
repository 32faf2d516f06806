/**
 * Plain gRPC calls to whichever node of a cluster leads, as a client would make them that knows all nodes. A call that ends because the lead changed or the
 * node did not answer is sent again to the node that leads then: what is measured goes on over an election, and says how often that was.
 */
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { setTimeout as sleep } from 'node:timers/promises';

const LEADER_MS_MAX = 30_000;
const PAUSE_MS = 100;
/** A node that is asked where it stands answers within this, or is passed over. */
export const ASK_MS_MAX = 2_000;

export type Encode<A> = (request: A) => Uint8Array;
export type Decode<B> = (bytes: Buffer) => B;

/** Whether the node behind `client` leads. Rejects when it cannot be asked. */
export type Leads = (client: NodeClient) => Promise<boolean>;

export class NodeClient {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
  }

  call<A, B>(path: string, request: A, encode: Encode<A>, decode: Decode<B>, timeoutMs?: number): Promise<B> {
    const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
    return new Promise((settled, failed) => {
      this.#client.makeUnaryRequest(
        path,
        (message: A) => asBuffer(encode(message)),
        decode,
        request,
        options,
        (error: ServiceError | null, answer?: B) => (error ? failed(error) : settled(answer!)),
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}

export class LeaderChannel {
  readonly #nodes: readonly NodeClient[];
  readonly #leads: Leads;
  #leader: NodeClient;
  #finding: Promise<void> | undefined;
  #resent = 0;

  /** Settles when a node leads. */
  static async open(addresses: readonly string[], leads: Leads): Promise<LeaderChannel> {
    const channel = new LeaderChannel(
      addresses.map((address) => new NodeClient(address)),
      leads,
    );
    await channel.#find();
    return channel;
  }

  private constructor(nodes: readonly NodeClient[], leads: Leads) {
    this.#nodes = nodes;
    this.#leader = nodes[0]!;
    this.#leads = leads;
  }

  get resent(): number {
    return this.#resent;
  }

  async call<A, B>(path: string, request: A, encode: Encode<A>, decode: Decode<B>): Promise<B> {
    const deadline = performance.now() + LEADER_MS_MAX;
    for (;;) {
      try {
        return await this.#leader.call(path, request, encode, decode);
      } catch (error) {
        if (!mayBeElsewhere(error) || performance.now() > deadline) throw error;
        this.#resent++;
        await (this.#finding ??= this.#find().finally(() => (this.#finding = undefined)));
      }
    }
  }

  close(): void {
    for (const node of this.#nodes) node.close();
  }

  async #find(): Promise<void> {
    const deadline = performance.now() + LEADER_MS_MAX;
    let reason: unknown = 'none of them does';
    while (performance.now() < deadline) {
      for (const node of this.#nodes) {
        try {
          if (!(await this.#leads(node))) continue;
          this.#leader = node;
          return;
        } catch (error) {
          reason = error;
        }
      }
      await sleep(PAUSE_MS);
    }
    throw new Error(`no node led within ${LEADER_MS_MAX} ms: ${String(reason)}`);
  }
}

/** Of our statuses FAILED_PRECONDITION is NOT_LEADER; etcd says UNAVAILABLE while the lead changes. */
function mayBeElsewhere(error: unknown): boolean {
  const { code } = error as ServiceError;
  return code === status.UNAVAILABLE || code === status.FAILED_PRECONDITION;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
