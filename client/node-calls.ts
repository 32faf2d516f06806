/**
 * Plain gRPC calls to nodes of one's choice, for what is rare (admin.ts, meta.ts): a connection to each node, kept; and how a call fails:
 *
 *   UNREACHABLE        there is no connection: nothing was asked
 *   CONNECTION_LOST    it broke, or TIMEOUT: it may have been done
 *   TOO_OLD            the server does not know the call
 *   ABORTED            the signal
 */
import {
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientUnaryCall,
  connectivityState,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';

import { SparrowError } from '../base/errors.ts';
import { forwardedMetadata } from '../proto/index.ts';
import type { TlsOptions } from './api.ts';
import { aborted, clientClosed, timedOutError } from './settled-errors.ts';
import { errorOfEndedStream } from './status-errors.ts';
import { credentialsOf, resolveTls } from './tls.ts';

export interface NodeCallsOptions {
  /** How long a call may take, milliseconds. Default 10,000. */
  timeoutMs?: number | undefined;
  /** Ends what is under way. */
  signal?: AbortSignal | undefined;
  /** As of `connect`. */
  tls?: TlsOptions | undefined;
  /** They are passed on for somebody, who asked a proxy. */
  forwarded?: boolean | undefined;
}

export type NodeMethod<Node, Q, A> = (
  client: Node,
  request: Q,
  metadata: Metadata,
  options: { deadline: number },
  done: (error: ServiceError | null, answer: A) => void,
) => ClientUnaryCall;

type MadeClient<Node> = new (address: string, credentials: ChannelCredentials, options: ChannelOptions) => Node;

/** A node that does not answer holds a search up no longer than this, or than a quarter of what the call may take. */
const NODE_MS = 2000;
/** Before who could not do it is asked again. */
export const PAUSE_MS = 200;
/** As gRPC tells of a connection that did not come about. */
const REFUSED = /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|No connection/;

const CHANNEL: ChannelOptions = {
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': -1,
  // A node that has just been started is found at once.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
};

export class NodeCalls<Node extends Client> {
  readonly timeoutMs: number;
  /** For a node that may not be there. */
  readonly nodeMs: number;
  readonly #make: MadeClient<Node>;
  /** What a server does not know that is too old. */
  readonly #unknown: string;
  readonly #signal: AbortSignal | undefined;
  readonly #credentials: ChannelCredentials;
  readonly #metadata: () => Metadata;
  readonly #clients: Map<string, Node> = new Map();
  #closed = false;

  constructor(make: MadeClient<Node>, unknown: string, { timeoutMs = 10_000, signal, tls, forwarded = false }: NodeCallsOptions) {
    this.#make = make;
    this.#unknown = unknown;
    this.#credentials = credentialsOf(tls && resolveTls(tls));
    this.#metadata = forwarded ? forwardedMetadata : () => new Metadata();
    this.timeoutMs = timeoutMs;
    this.nodeMs = Math.min(timeoutMs, Math.max(NODE_MS, timeoutMs / 4));
    this.#signal = signal;
  }

  call<Q, A>(address: string, name: string, method: NodeMethod<Node, Q, A>, request: Q, timeoutMs: number): Promise<A> {
    this.checkUsable();
    const ms = Math.max(1, Math.ceil(timeoutMs));
    const signal = this.#signal;
    return new Promise((resolve, reject) => {
      const call = method(this.#clientOf(address), request, this.#metadata(), { deadline: Date.now() + ms }, (failure, answer) => {
        signal?.removeEventListener('abort', onAbort);
        if (failure === null) return resolve(answer);
        if (signal?.aborted === true) return reject(aborted(name, signal, {}));
        reject(this.#errorOf(failure, address, name, ms));
      });
      const onAbort = (): void => call.cancel();
      signal?.addEventListener('abort', onAbort);
    });
  }

  /** Settles when there is a connection. Throws `unavailable/UNREACHABLE` when there is none in the time that a node has. */
  async reach(address: string, timeoutMs: number): Promise<void> {
    this.checkUsable();
    const client = this.#clientOf(address);
    const ms = Math.min(Math.max(1, timeoutMs), this.nodeMs);
    const endMs = Date.now() + ms;
    let seen = client.getChannel().getConnectivityState(true);
    while (seen !== connectivityState.READY) {
      // That is for the next call to say why.
      if (seen === connectivityState.TRANSIENT_FAILURE) return;
      const before = seen;
      await new Promise<void>((resolve, reject) => {
        client.getChannel().watchConnectivityState(before, endMs, (error) => {
          if (error === undefined) resolve();
          else reject(unreachable(address, `no connection within ${ms} ms`, error));
        });
      });
      this.checkUsable();
      seen = client.getChannel().getConnectivityState(true);
    }
  }

  /** Throws when it was closed, or the signal came. */
  checkUsable(): void {
    if (this.#closed) throw clientClosed();
    if (this.#signal?.aborted === true) throw aborted('the call', this.#signal, {});
  }

  async pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    this.checkUsable();
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #clientOf(address: string): Node {
    let client = this.#clients.get(address);
    if (client === undefined) this.#clients.set(address, (client = new this.#make(address, this.#credentials, CHANNEL)));
    return client;
  }

  #errorOf(failure: ServiceError, address: string, name: string, ms: number): SparrowError {
    const error = errorOfEndedStream(failure);
    if (error.code === 'TIMEOUT' && error.details['applied'] === undefined) return timedOutError(`${name} at ${address}`, ms, { address });
    if (error.code === 'RPC_UNIMPLEMENTED') {
      const message = `the server at ${address} ${this.#unknown}: that is its port for other nodes, or its release is older`;
      return new SparrowError('invalid', 'TOO_OLD', message, { address });
    }
    if (error.code !== 'CONNECTION_LOST') return error;
    if (REFUSED.test(failure.details)) return unreachable(address, error.message, error);
    return new SparrowError('unavailable', 'CONNECTION_LOST', `${name} at ${address}: ${error.message}`, { address }, error);
  }
}

function unreachable(address: string, why: string, cause: unknown): SparrowError {
  return new SparrowError('unavailable', 'UNREACHABLE', `cannot reach ${address}: ${why}`, { address, applied: false }, cause);
}
