/**
 * A connection to one server: a gRPC channel, the session on it, and the calls that go beside the session. It is opened once, used until it
 * breaks or is retired, and never repaired: connector.ts opens another.
 */
import { type ChannelOptions, credentials, Metadata } from '@grpc/grpc-js';

import { SparrowError } from '../base/errors.ts';
import { AdminClient, KvClient, PAYLOAD_BYTES_MAX, type SessionGreeting } from '../proto/index.ts';
import type { AnyCall, CallOutcomes } from './call.ts';
import { ConnectionSession } from './connection-session.ts';
import type { Stubs } from './methods.ts';
import { errorOfEndedStream } from './status-errors.ts';
import { UnaryCalls } from './unary-calls.ts';

const MIB: number = 1024 * 1024;

const CHANNEL: ChannelOptions = {
  // Our own attempts are the retries, and a connection that failed is not tried again.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_channelz': 0,
  'grpc.max_receive_message_length': PAYLOAD_BYTES_MAX + MIB,
  'grpc.max_send_message_length': -1,
  // Large answers and scans are not held up by the usual window of 64 KiB.
  'grpc-node.flow_control_window': 4 * MIB,
  // Finds a server that has vanished without a word.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.client_idle_timeout_ms': 2 ** 31 - 1,
};

export interface ConnectionEvents extends CallOutcomes {
  /** Of no more use; its calls were given to `lost`. Once. */
  ended(connection: Connection, error: SparrowError): void;
}

export class Connection {
  readonly address: string;
  readonly stubs: Stubs;
  readonly openedAtMs: number = performance.now();
  readonly #events: ConnectionEvents;
  readonly #unary: UnaryCalls;
  #session: ConnectionSession | undefined;
  #greeting: SessionGreeting | undefined;
  #retired = false;
  #over = false;

  constructor(address: string, events: ConnectionEvents) {
    this.address = address;
    this.#events = events;
    const kv = new KvClient(address, credentials.createInsecure(), CHANNEL);
    const admin = new AdminClient(address, credentials.createInsecure(), { channelOverride: kv.getChannel() });
    this.stubs = { kv, admin };
    this.#unary = new UnaryCalls(this.stubs, events, (error) => this.close(error));
  }

  /** Settles when calls can be sent. Throws what kept it, after `timeoutMs` at the latest; the connection is then closed. */
  async open(transport: 'session' | 'unary', timeoutMs: number): Promise<void> {
    try {
      if (transport === 'session') await this.#openSession(timeoutMs);
      else await this.#probe(timeoutMs);
    } catch (error) {
      this.close(error as SparrowError);
      throw error;
    }
  }

  /** What the server said of itself at the beginning; `undefined` without a session. */
  get greeting(): SessionGreeting | undefined {
    return this.#greeting;
  }

  send(call: AnyCall): void {
    const messageBytesMax = this.#greeting?.messageBytesMax ?? 0;
    if (messageBytesMax > 0 && call.bytes > messageBytesMax) {
      const refusal = `${call.method.name} of ${call.bytes} bytes; the server takes messages of up to ${messageBytesMax}`;
      const error = new SparrowError('invalid', 'WRITE_TOO_LARGE', refusal, { bytes: call.bytes, limit: messageBytesMax });
      // Not from inside `send`: the refusal makes room for the next call, which may be refused as well.
      queueMicrotask(() => this.#events.refused(call, error));
    } else if (this.#session !== undefined && call.method.frame !== undefined) {
      this.#session.send(call);
    } else {
      this.#unary.send(call);
    }
  }

  /** No further calls come; ends when those under way have their answers. */
  retire(): void {
    this.#retired = true;
    this.#endWhenEmpty();
  }

  close(error: SparrowError): void {
    if (this.#over) return;
    this.#over = true;
    this.#session?.close(error);
    this.#unary.close(error);
    this.stubs.kv.close();
    this.#events.ended(this, error);
  }

  #openSession(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new SparrowError('unavailable', 'UNREACHABLE', `${this.address} did not answer within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#session = new ConnectionSession(this.stubs.kv, {
        answered: (call, answer) => {
          this.#events.answered(call, answer);
          this.#endWhenEmpty();
        },
        refused: (call, error) => {
          this.#events.refused(call, error);
          this.#endWhenEmpty();
        },
        lost: (call, error) => this.#events.lost(call, error),
        greeted: (greeting) => {
          clearTimeout(timer);
          this.#greeting = greeting;
          resolve();
        },
        ended: (error) => {
          clearTimeout(timer);
          if (this.#greeting !== undefined) return this.close(error);
          this.#session = undefined;
          // Plain calls do with a server that knows no sessions, or none of our revision.
          if (error.code === 'RPC_UNIMPLEMENTED') resolve();
          else reject(error);
        },
      });
    });
  }

  /** One call that tells whether a server is there; grpc-js itself would go on trying. */
  #probe(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.stubs.admin.status({}, new Metadata(), { deadline: Date.now() + timeoutMs }, (failure) => {
        if (failure === null) resolve();
        else reject(errorOfEndedStream(failure));
      });
    });
  }

  #endWhenEmpty(): void {
    if (this.#retired && this.#unary.calls + (this.#session?.calls ?? 0) === 0) {
      this.close(new SparrowError('unavailable', 'SESSION_ENDED', 'the connection was retired'));
    }
  }
}
