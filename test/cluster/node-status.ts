/** Asks one node for its status, past the SDK, which would ask the one that leads. */
import { type ChannelCredentials, credentials, Metadata } from '@grpc/grpc-js';
import { AdminClient, type NodeState, type StatusResponse } from '../../proto/index.ts';

const INSECURE: ChannelCredentials = credentials.createInsecure();
/** A node that comes back is found at once. */
const OPTIONS = { 'grpc.initial_reconnect_backoff_ms': 50, 'grpc.max_reconnect_backoff_ms': 100, 'grpc.use_local_subchannel_pool': 1 };

export class NodeStatus {
  readonly #address: string;
  #client: AdminClient | undefined;

  constructor(address: string) {
    this.#address = address;
  }

  ask(msMax: number): Promise<StatusResponse | undefined> {
    return new Promise((resolve) => {
      this.#admin.status({}, new Metadata(), { deadline: Date.now() + msMax }, (error, status) =>
        resolve(error === null ? status : undefined),
      );
    });
  }

  /** Of its replica of a shard. */
  askOf(shard: number, msMax: number): Promise<NodeState | undefined> {
    return new Promise((resolve) => {
      this.#admin.clusterStatus({ shard }, new Metadata(), { deadline: Date.now() + msMax }, (error, status) =>
        resolve(error === null ? status.node : undefined),
      );
    });
  }

  get #admin(): AdminClient {
    return (this.#client ??= new AdminClient(this.#address, INSECURE, OPTIONS));
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}
