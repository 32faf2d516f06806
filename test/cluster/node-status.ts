/** Asks one node for its status, past the SDK, which would ask the one that leads. */
import { type ChannelCredentials, credentials, Metadata } from '@grpc/grpc-js';
import { AdminClient, type StatusResponse } from '../../proto/index.ts';

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
    this.#client ??= new AdminClient(this.#address, INSECURE, OPTIONS);
    const client = this.#client;
    return new Promise((resolve) => {
      client.status({}, new Metadata(), { deadline: Date.now() + msMax }, (error, status) => resolve(error === null ? status : undefined));
    });
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}
