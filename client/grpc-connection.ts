/**
 * A connection to one node: a gRPC channel, the session on it, and the calls that go beside the session. It is opened once, used until it
 * breaks, and never repaired: nodes.ts opens another.
 */
import { type ChannelOptions, Metadata } from '@grpc/grpc-js';

import { SparrowError } from '../base/errors.ts';
import {
  AdminClient,
  KvClient,
  MetaClient,
  type Leadership,
  PAYLOAD_BYTES_MAX,
  type SessionGreeting,
  type StatusResponse,
} from '../proto/index.ts';
import type { AnyCall } from './call.ts';
import type { Connection, ConnectionEvents, SideStream, Standing } from './connection.ts';
import type { Settings } from './connect-options.ts';
import { ConnectionSession } from './connection-session.ts';
import type { Stubs } from './methods.ts';
import { errorOfEndedStream } from './status-errors.ts';
import { credentialsOf } from './tls.ts';
import { UnaryCalls } from './unary-calls.ts';

const MIB: number = 1024 * 1024;
/** Whoever pings gives up sooner; this only ends the call. */
const PING_TIMEOUT_MS = 5_000;

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

export class GrpcConnection implements Connection {
  readonly address: string;
  readonly stubs: Stubs;
  readonly #transport: 'session' | 'unary';
  readonly #events: ConnectionEvents;
  readonly #unary: UnaryCalls;
  readonly #streams: Set<SideStream> = new Set();
  #session: ConnectionSession | undefined;
  #greeting: SessionGreeting | undefined;
  /** Answers to pings beside a session. */
  #pongs = 0;
  #over = false;

  constructor(address: string, { transport, tls }: Pick<Settings, 'transport' | 'tls'>, events: ConnectionEvents) {
    this.address = address;
    this.#transport = transport;
    this.#events = events;
    const secure = credentialsOf(tls);
    const kv = new KvClient(address, secure, CHANNEL);
    const admin = new AdminClient(address, secure, { channelOverride: kv.getChannel() });
    const meta = new MetaClient(address, secure, { channelOverride: kv.getChannel() });
    this.stubs = { kv, admin, meta };
    this.#unary = new UnaryCalls(this.stubs, events, (error) => this.close(error));
  }

  async open(timeoutMs: number): Promise<Standing | undefined> {
    try {
      if (this.#transport === 'unary') return standingOfStatus(await this.#status(timeoutMs, 0));
      await this.#openSession(timeoutMs);
      return standingOfGreeting(this.#greeting);
    } catch (error) {
      this.close(error as SparrowError);
      throw error;
    }
  }

  get greeting(): SessionGreeting | undefined {
    return this.#greeting;
  }

  get awaited(): number {
    let awaited = this.#unary.calls + (this.#session?.calls ?? 0);
    for (const stream of this.#streams) if (stream.waits) awaited++;
    return awaited;
  }

  get heard(): number {
    return this.#unary.heard + this.#pongs + (this.#session?.heard ?? 0);
  }

  async ping(shard: number): Promise<Leadership | undefined> {
    if (this.#session !== undefined) return this.#session.ping(shard);
    const status = await this.#status(PING_TIMEOUT_MS, shard);
    this.#pongs++;
    return standingOfStatus(status);
  }

  addStream(stream: SideStream): () => void {
    this.#streams.add(stream);
    return () => this.#streams.delete(stream);
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

  close(error: SparrowError): void {
    if (this.#over) return;
    this.#over = true;
    this.#session?.close(error);
    this.#unary.close(error);
    this.stubs.kv.close();
    this.#events.ended(this, error);
  }

  abandon(error: SparrowError): void {
    for (const stream of this.#streams) stream.broken(error);
    this.close(error);
  }

  release(meant: (what: AnyCall | SideStream) => boolean, error: SparrowError): void {
    for (const stream of this.#streams) if (meant(stream)) stream.broken(error);
    this.#session?.release(meant, error);
    this.#unary.release(meant, error);
  }

  #openSession(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new SparrowError('unavailable', 'UNREACHABLE', `${this.address} did not answer within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#session = new ConnectionSession(this.stubs.kv, {
        answered: (call, answer) => this.#events.answered(call, answer),
        refused: (call, error) => this.#events.refused(call, error),
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
  #status(timeoutMs: number, shard: number): Promise<StatusResponse> {
    return new Promise((resolve, reject) => {
      this.stubs.admin.status({ shard }, new Metadata(), { deadline: Date.now() + timeoutMs }, (failure, answer) => {
        if (failure === null) resolve(answer);
        else reject(errorOfEndedStream(failure));
      });
    });
  }
}

function standingOfGreeting(greeting: SessionGreeting | undefined): Standing | undefined {
  if (greeting === undefined || greeting.nodeId === 0) return undefined;
  const { nodeId, clusterId, members, leadership } = greeting;
  return { nodeId, clusterId, members, leaderId: leadership?.leaderId ?? 0, term: leadership?.term ?? 0 };
}

function standingOfStatus({ replica, clusterId, members }: StatusResponse): Standing | undefined {
  if (replica === undefined || replica.id === 0) return undefined;
  // A replica that stopped may believe to lead until others elect a leader.
  const leaderId = replica.stoppedBecause !== '' && replica.leaderId === replica.id ? 0 : replica.leaderId;
  return { nodeId: replica.id, clusterId, members, leaderId, term: replica.term };
}
