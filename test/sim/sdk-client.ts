/**
 * The SDK itself (client/) as a client in the simulation: its search for the leader, its retries, its numbering of writes, and what it says of outcomes that
 * nobody knows. Only what carries the calls is another: frames of kv-frames.ts over a simulated connection.
 */
import { assert } from '../../base/assert.ts';
import { type ErrorDetails, SparrowError } from '../../base/errors.ts';
import type { AnyCall } from '../../client/call.ts';
import { CallRunner, type CallWays } from '../../client/call-runner.ts';
import { resolveConnectOptions } from '../../client/connect-options.ts';
import type { Connection, ConnectionEvents, SideStream, Standing } from '../../client/connection.ts';
import { MULTI_GET, TOPOLOGY, WRITE } from '../../client/methods.ts';
import type { Stubs } from '../../client/methods.ts';
import { RequestIds } from '../../client/request-ids.ts';
import {
  type Leadership,
  type MultiGetRequest,
  type MultiGetResponse,
  TopologyRequest,
  TopologyResponse,
  type WriteRequest,
  type WriteResponse,
} from '../../proto/index.ts';
import { decodeAnswer, encodeFrame, type AnswerFrame, type RequestFrame } from './kv-frames.ts';
import type { Changes, Condition, Found, KvClient, Outcome, WriteAnswer } from './kv-client.ts';
import type { SimConnection, SimEndpoint } from './sim-network.ts';
import type { World } from './world.ts';

export class SdkClient implements KvClient {
  readonly name: string;
  readonly #world: World;
  readonly #timeoutMs: number;
  readonly #calls: CallRunner;

  constructor(world: World, name: string, servers: readonly string[], timeoutMs: number) {
    this.name = name;
    this.#world = world;
    this.#timeoutMs = timeoutMs;
    const endpoint = world.network.endpoint(name);
    this.#calls = new CallRunner(servers, resolveConnectOptions({}), new RequestIds(Buffer.from(name)), {
      clock: { monotonicMs: () => world.nowMs },
      scheduler: world.scheduler,
      random: world.random.fork(),
      openConnection: (address, events) => new SdkConnection(world, endpoint, name, address, events),
    });
  }

  async read(keys: readonly string[], anyNode?: { readonly staleMs: number }): Promise<Outcome<readonly Found[]>> {
    const request = { keys: keys.map((key) => Buffer.from(key)), anyNode };
    const outcome = await this.#outcome(this.#calls.run(MULTI_GET, request, 0, { timeoutMs: this.#timeoutMs }, this.#ways));
    if (outcome.status !== 'answered') return outcome;
    return {
      status: 'answered',
      answer: outcome.answer.entries.map(({ found, value, version }) => ({ value: found ? value.toString() : undefined, version })),
    };
  }

  async write(changes: Changes, conditions: readonly Condition[] = []): Promise<Outcome<WriteAnswer>> {
    const request: WriteRequest = {
      requestId: undefined,
      conditions: conditions.map(({ key, version }) => ({
        key: Buffer.from(key),
        expected: version === 0 ? { $case: 'absent', value: true } : { $case: 'version', value: version },
      })),
      operations: Object.entries(changes).map(([name, value]) => {
        const key = Buffer.from(name);
        return {
          operation: value === null ? { $case: 'delete', value: { key } } : { $case: 'put', value: { key, value: Buffer.from(value) } },
        };
      }),
    };
    const outcome = await this.#outcome(this.#calls.run(WRITE, request, 0, { timeoutMs: this.#timeoutMs }, this.#ways));
    if (outcome.status !== 'answered') return outcome;
    const { applied, version, failed } = outcome.answer;
    if (applied) return { status: 'answered', answer: { applied, version } };
    const found = { value: failed!.found ? failed!.value.toString() : undefined, version: failed!.version };
    return { status: 'answered', answer: { applied: false, condition: failed!.index, found } };
  }

  /** As of the verbs of client/verbs.ts: by the map, once a node has said that there are several shards. */
  get #ways(): CallWays | undefined {
    return this.#calls.defaultIsSplit ? { route: this.#calls.splitDefault() } : undefined;
  }

  async #outcome<A>(answer: Promise<A>): Promise<Outcome<A>> {
    try {
      return { status: 'answered', answer: await answer };
    } catch (error) {
      if (!(error instanceof SparrowError)) throw error;
      const refused = error.details['applied'] === false;
      this.#world.counters.add(refused ? 'sdk: refused' : 'sdk: outcome unknown');
      return { status: refused ? 'refused' : 'unknown' };
    }
  }
}

interface Question {
  readonly resolve: (standing: Standing) => void;
  readonly reject: (error: SparrowError) => void;
}

class SdkConnection implements Connection {
  readonly address: string;
  readonly stubs = undefined as unknown as Stubs;
  readonly greeting = undefined;
  heard = 0;
  readonly #world: World;
  readonly #endpoint: SimEndpoint;
  readonly #client: string;
  readonly #events: ConnectionEvents;
  readonly #calls: Map<number, AnyCall> = new Map();
  readonly #questions: Map<number, Question> = new Map();
  #connection: SimConnection | undefined;
  #next = 1;
  #over = false;

  constructor(world: World, endpoint: SimEndpoint, client: string, address: string, events: ConnectionEvents) {
    this.#world = world;
    this.#endpoint = endpoint;
    this.#client = client;
    this.address = address;
    this.#events = events;
  }

  get awaited(): number {
    return this.#calls.size + this.#questions.size;
  }

  open(timeoutMs: number): Promise<Standing> {
    this.#connection = this.#endpoint.connect(this.address, {
      frame: (bytes) => this.#take(decodeAnswer(bytes)),
      closed: (why) => this.#end(new SparrowError('unavailable', 'CONNECTION_LOST', why)),
    });
    const silent = new SparrowError('unavailable', 'UNREACHABLE', `${this.address} did not answer`);
    const timer = this.#world.scheduler.after(timeoutMs, () => this.close(silent), true);
    return this.#ask().finally(() => timer.cancel());
  }

  ping(shard: number): Promise<Leadership> {
    return this.#ask(shard === 0 ? undefined : shard);
  }

  send(call: AnyCall): void {
    const number = this.#next++;
    if (call.wasSent) this.#world.counters.add('sdk: sent again');
    this.#calls.set(number, call);
    call.state = 'sent';
    call.wasSent = true;
    call.holder = this;
    this.#transmit(frameOf(number, this.#client, call));
  }

  drop(call: AnyCall): void {
    for (const [number, other] of this.#calls) if (other === call) this.#calls.delete(number);
    call.holder = undefined;
  }

  addStream(_stream: SideStream): () => void {
    throw new Error('the simulation has no scans by the SDK');
  }

  abandon(error: SparrowError): void {
    this.close(error);
  }

  release(meant: (what: AnyCall | SideStream) => boolean, error: SparrowError): void {
    for (const call of [...this.#calls.values()]) {
      if (!meant(call)) continue;
      this.drop(call);
      this.#events.lost(call, error);
    }
  }

  close(error: SparrowError): void {
    this.#connection?.close();
    this.#end(error);
  }

  #ask(shard?: number): Promise<Standing> {
    return new Promise((resolve, reject) => {
      const number = this.#next++;
      this.#questions.set(number, { resolve, reject });
      this.#transmit({ call: number, standing: true, shard });
    });
  }

  #transmit(frame: RequestFrame): void {
    this.#connection?.send(encodeFrame(frame));
  }

  #take({ call: number, found, written, meta, standing, error }: AnswerFrame): void {
    if (this.#over) return;
    this.heard++;
    const question = this.#questions.get(number);
    if (question !== undefined && standing !== undefined) {
      this.#questions.delete(number);
      const { node, leader, term, members } = standing;
      question.resolve({
        nodeId: node,
        clusterId: '',
        leaderId: leader,
        term,
        members: members.map((address, i) => ({ id: i + 1, address })),
      });
      return;
    }
    const call = this.#calls.get(number);
    if (call === undefined) return;
    this.#calls.delete(number);
    call.holder = undefined;
    if (meta !== undefined) return this.#events.answered(call, TopologyResponse.decode(Buffer.from(meta, 'base64')));
    if (error === undefined) return this.#events.answered(call, found === undefined ? writeResponse(written!) : readResponse(found));
    const { kind, code, applied, leader, leaderAddress, term, shard, shards } = error;
    this.#world.counters.add(`answer: ${kind}`);
    const details: ErrorDetails = {
      ...(applied !== undefined && { applied }),
      ...(leader !== undefined && { leader }),
      ...(leaderAddress !== undefined && { leaderAddress }),
      ...(term !== undefined && { term }),
      ...(shards !== undefined && { shards }),
      ...(shard !== undefined && { shard }),
    };
    this.#events.refused(call, new SparrowError(kind as SparrowError['kind'], code, code, details));
  }

  #end(error: SparrowError): void {
    if (this.#over) return;
    this.#over = true;
    for (const call of this.#calls.values()) {
      call.holder = undefined;
      this.#events.lost(call, error);
    }
    this.#calls.clear();
    for (const { reject } of this.#questions.values()) reject(error);
    this.#questions.clear();
    this.#events.ended(this, error);
  }
}

function frameOf(number: number, client: string, { method, request }: AnyCall): RequestFrame {
  if (method === MULTI_GET) return readFrame(number, request as MultiGetRequest);
  if (method === WRITE) return writeFrame(number, client, request as WriteRequest);
  assert(method === TOPOLOGY, 'the simulation has no other methods');
  const bytes = TopologyRequest.encode(request as TopologyRequest).finish();
  return { call: number, meta: { verb: 'topology', request: Buffer.from(bytes).toString('base64') } };
}

function readFrame(call: number, { keys, anyNode, shard, epoch }: MultiGetRequest): RequestFrame {
  return { call, read: keys.map(String), anyNode, shard, epoch };
}

function writeFrame(call: number, client: string, { requestId, conditions, operations, shard, epoch }: WriteRequest): RequestFrame {
  const { sequence, seen } = requestId!;
  const changes: Record<string, string | null> = {};
  for (const { operation } of operations) {
    if (operation?.$case === 'put') changes[operation.value.key.toString()] = operation.value.value.toString();
    else if (operation?.$case === 'delete') changes[operation.value.key.toString()] = null;
  }
  const expected = conditions.map(({ key, expected }) => ({
    key: key.toString(),
    version: expected?.$case === 'version' ? expected.value : 0,
  }));
  return { call, write: { client, sequence, seen, changes, conditions: expected }, shard, epoch };
}

function readResponse(found: readonly Found[]): MultiGetResponse {
  const entries = found.map(({ value, version }) => ({ found: value !== undefined, value: Buffer.from(value ?? ''), version }));
  return { entries };
}

function writeResponse(written: WriteAnswer): WriteResponse {
  if (written.applied) return { applied: true, version: written.version, failed: undefined };
  const { condition: index, found } = written;
  const failed = { index, found: found.value !== undefined, value: Buffer.from(found.value ?? ''), version: found.version };
  return { applied: false, version: 0, failed };
}
