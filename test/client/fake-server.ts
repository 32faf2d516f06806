/**
 * A gRPC server over a sorted map that behaves badly on command: for what a client does when things fail.
 * It speaks sessions and plain calls, remembers request ids, and counts what arrives.
 */
import { Server, ServerCredentials, type sendUnaryData, type ServerDuplexStream, Metadata } from '@grpc/grpc-js';

import { SparrowError } from '../../base/errors.ts';
import { CODE_TRAILER, DETAILS_TRAILER, failureOf, KIND_TRAILER } from '../../base/rpc-status.ts';
import {
  AdminService,
  deleteRequestCodec,
  DeleteRangeRequest,
  DeleteRangeResponse,
  encodeHot,
  FRAME_ANSWER,
  FRAME_CANCEL,
  FRAME_DELETE,
  FRAME_DELETE_RANGE,
  FRAME_ERROR,
  FRAME_GET,
  FRAME_GREETING,
  FRAME_MULTI_GET,
  FRAME_PING,
  FRAME_PUT,
  FRAME_WRITE,
  getRequestCodec,
  getResponseCodec,
  Kv,
  type KvHandlers,
  Leadership,
  type Member,
  MetaService,
  MultiGetRequest,
  MultiGetResponse,
  putRequestCodec,
  putResponseCodec,
  readFrames,
  type ScanRequest,
  type ScanResponse,
  SESSION_REVISION,
  SessionError,
  type SessionFrame,
  SessionGreeting,
  SessionWriter,
  StatusResponse,
  type TopologyRequest,
  type TopologyResponse,
  WriteRequest,
  WriteResponse,
  type RequestId,
} from '../../proto/index.ts';

/** `drop`: break the session instead of answering. `hang`: never answer. An error: refuse. `drop after`: do it, then break the session. */
export type Behaviour = 'answer' | 'drop' | 'drop after' | 'hang' | SparrowError;

/** What a server stores; nodes of a cluster have one together. */
export class FakeStore {
  /** By key in latin1, with version. */
  readonly data: Map<string, { value: Buffer; version: number }> = new Map();
  /** Answers to identified writes. */
  readonly applied: Map<string, Buffer> = new Map();
  version = 0;
}

export class FakeServer {
  readonly #store: FakeStore;
  /** Frames as they arrived, by kind name. */
  readonly received: string[] = [];
  /** Frames in each session message. */
  readonly messages: number[] = [];
  readonly requestIds: RequestId[] = [];
  sessions = 0;
  cancels = 0;
  scans = 0;
  revision: number = SESSION_REVISION;
  callsInFlightMax = 10_000;
  messageBytesMax: number = 64 * 1024 * 1024;
  greet = true;
  /** 0: tells nothing of nodes and leaders, and answers everything. */
  nodeId = 0;
  clusterId = '';
  leadership: Leadership = { leaderId: 0, term: 0 };
  members: Member[] = [];
  pings = 0;
  /** As a process that was stopped: what comes is left until `thaw`. */
  #frozen: (() => void)[] | undefined;
  /** What the metaserver says, which this server then is. */
  topology: ((request: TopologyRequest) => TopologyResponse) | undefined;
  /** Shard and epoch of each request that named one. */
  readonly shards: string[] = [];
  /** What happens to each next call; empty: answered. */
  behaviours: Behaviour[] = [];
  /** Entries in a chunk of a scan, and how many chunks a stream gives before it breaks. */
  chunkEntries = 10;
  chunksBeforeBreak: number = Number.POSITIVE_INFINITY;
  chunksSent = 0;
  port = 0;
  readonly #server = new Server({ 'grpc.max_receive_message_length': 256 * 1024 * 1024 });
  readonly #streams: Set<ServerDuplexStream<Buffer, Buffer>> = new Set();

  constructor(store: FakeStore = new FakeStore()) {
    this.#store = store;
  }

  get data(): FakeStore['data'] {
    return this.#store.data;
  }

  get version(): number {
    return this.#store.version;
  }

  freeze(): void {
    this.#frozen = [];
  }

  thaw(): void {
    const frozen = this.#frozen ?? [];
    this.#frozen = undefined;
    for (const task of frozen) task();
  }

  #whenThawed(task: () => void): void {
    if (this.#frozen === undefined) task();
    else this.#frozen.push(task);
  }

  /** Why this node does not serve: another leads, or none. */
  #elsewhere(): SparrowError | undefined {
    const { leaderId, term } = this.leadership;
    if (this.nodeId === 0 || leaderId === this.nodeId) return undefined;
    if (leaderId === 0) return new SparrowError('unavailable', 'NO_LEADER', 'no leader', { applied: false });
    const leaderAddress = this.members.find(({ id }) => id === leaderId)?.address ?? null;
    return new SparrowError('rerouted', 'NOT_LEADER', `node ${leaderId} leads`, { leader: leaderId, term, leaderAddress, applied: false });
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async start(port: number = 0): Promise<this> {
    this.#server.addService(Kv as never, this.#handlers() as never);
    this.#server.addService(AdminService, {
      status: (_: unknown, done: sendUnaryData<StatusResponse>) => {
        const replica = { id: this.nodeId, ...this.leadership };
        this.#whenThawed(() =>
          done(
            null,
            StatusResponse.fromPartial({ version: 'fake', uptimeMs: 1, replica, clusterId: this.clusterId, members: this.members }),
          ),
        );
      },
    });
    if (this.topology !== undefined) {
      this.#server.addService({ topology: MetaService.topology } as never, {
        topology: ({ request }: { request: TopologyRequest }, done: sendUnaryData<TopologyResponse>) => {
          try {
            done(null, this.topology!(request));
          } catch (error) {
            done(statusOf(error) as never);
          }
        },
      });
    }
    this.port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    return this;
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  /** Breaks all sessions; the server goes on. */
  dropSessions(): void {
    for (const stream of this.#streams) stream.emit('error', { code: 14, details: 'dropped', metadata: new Metadata() });
  }

  #handlers(): KvHandlers {
    const unary =
      <Q, A>(kind: number, encode: (request: Q) => Buffer, decode: (answer: Buffer) => A) =>
      (call: { request: Q }, done: sendUnaryData<A>): void =>
        this.#whenThawed(() => {
          try {
            const behaviour = this.behaviours.shift() ?? 'answer';
            this.received.push(`unary ${kind}`);
            if (behaviour instanceof SparrowError) throw behaviour;
            const elsewhere = this.#elsewhere();
            if (elsewhere !== undefined) throw elsewhere;
            if (behaviour === 'hang') return;
            if (behaviour === 'drop') return done(Object.assign(new Error('dropped'), { code: 14 }) as never);
            done(null, decode(this.#execute(kind, encode(call.request))));
          } catch (error) {
            done(statusOf(error) as never);
          }
        });
    return {
      get: unary(
        FRAME_GET,
        (q) => encodeHot(getRequestCodec, q as never),
        (a) => getResponseCodec.read(a),
      ),
      put: unary(
        FRAME_PUT,
        (q) => encodeHot(putRequestCodec, q as never),
        (a) => putResponseCodec.read(a),
      ),
      delete: unary(
        FRAME_DELETE,
        (q) => encodeHot(deleteRequestCodec, q as never),
        (a) => putResponseCodec.read(a),
      ),
      multiGet: unary(
        FRAME_MULTI_GET,
        (q) => Buffer.from(MultiGetRequest.encode(q as never).finish()),
        (a) => MultiGetResponse.decode(a),
      ),
      write: unary(
        FRAME_WRITE,
        (q) => Buffer.from(WriteRequest.encode(q as never).finish()),
        (a) => WriteResponse.decode(a),
      ),
      deleteRange: unary(
        FRAME_DELETE_RANGE,
        (q) => Buffer.from(DeleteRangeRequest.encode(q as never).finish()),
        (a) => DeleteRangeResponse.decode(a),
      ),
      scan: (call) => {
        this.scans++;
        this.#note(call.request);
        this.#whenThawed(() => {
          const elsewhere = this.#elsewhere();
          if (elsewhere === undefined) this.#scan(call.request, call as never);
          else (call as unknown as NodeJS.EventEmitter).emit('error', statusOf(elsewhere));
        });
      },
      session: (stream) => this.#whenThawed(() => this.#session(stream)),
    } as KvHandlers;
  }

  #session(stream: ServerDuplexStream<Buffer, Buffer>): void {
    this.sessions++;
    this.#streams.add(stream);
    stream.on('close', () => this.#streams.delete(stream));
    stream.on('cancelled', () => this.#streams.delete(stream));
    stream.on('error', () => this.#streams.delete(stream));
    const writer = new SessionWriter();
    if (this.greet) {
      const greeting = SessionGreeting.fromPartial({
        revision: this.revision,
        serverVersion: 'fake',
        callsInFlightMax: this.callsInFlightMax,
        keyBytesMax: 4000,
        valueBytesMax: 16 * 1024 * 1024,
        writeBytesMax: 32 * 1024 * 1024,
        messageBytesMax: this.messageBytesMax,
        seen: this.version,
        nodeId: this.nodeId,
        clusterId: this.clusterId,
        leadership: this.leadership,
        members: this.members,
      });
      writer.append(FRAME_GREETING, 0, 0, SessionGreeting.encode(greeting).finish());
      stream.write(writer.take());
    }
    stream.on('end', () => stream.end());
    stream.on('data', (message: Buffer) => this.#whenThawed(() => receive(message)));
    const receive = (frames: Buffer): void => {
      const list = [...readFrames(frames)];
      this.messages.push(list.length);
      for (const frame of list) this.#frame(stream, writer, frame);
      if (writer.frames > 0) stream.write(writer.take());
    };
  }

  #frame(stream: ServerDuplexStream<Buffer, Buffer>, writer: SessionWriter, frame: SessionFrame): void {
    if (frame.kind === FRAME_PING) {
      this.pings++;
      writer.append(FRAME_ANSWER, frame.call, 0, Leadership.encode(this.leadership).finish());
      return;
    }
    this.received.push(`frame ${frame.kind}`);
    if (frame.kind === FRAME_CANCEL) {
      this.cancels++;
      return;
    }
    const behaviour = this.behaviours.shift() ?? 'answer';
    if (behaviour === 'hang') return;
    if (behaviour === 'drop') return this.dropSessions();
    const refusal = behaviour instanceof SparrowError ? behaviour : this.#elsewhere();
    if (refusal !== undefined) {
      writer.append(FRAME_ERROR, frame.call, 0, SessionError.encode(failureOf(refusal)).finish());
      return;
    }
    const answer = this.#execute(frame.kind, Buffer.from(frame.payload));
    if (behaviour === 'drop after') return this.dropSessions();
    writer.append(FRAME_ANSWER, frame.call, 0, answer);
    void stream;
  }

  #note({ shard, epoch }: { shard?: number | undefined; epoch?: number | undefined }): void {
    if (shard !== undefined) this.shards.push(`${shard}@${epoch}`);
  }

  #execute(kind: number, payload: Buffer): Buffer {
    this.#note(REQUESTS.get(kind)!(payload));
    if (kind === FRAME_GET) {
      const { key, versionOnly } = getRequestCodec.read(payload);
      return encodeHot(getResponseCodec, this.#entry(key, versionOnly));
    }
    if (kind === FRAME_MULTI_GET) {
      const entries = MultiGetRequest.decode(payload).keys.map((key) => this.#entry(key, false));
      return Buffer.from(MultiGetResponse.encode({ entries }).finish());
    }
    const id = requestIdOf(kind, payload);
    const name = id === undefined ? undefined : `${id.client.toString('hex')}/${id.sequence}`;
    if (id !== undefined) this.requestIds.push(id);
    const before = name === undefined ? undefined : this.#store.applied.get(name);
    if (before !== undefined) return before;
    const answer = this.#apply(kind, payload);
    if (name !== undefined) this.#store.applied.set(name, answer);
    return answer;
  }

  #apply(kind: number, payload: Buffer): Buffer {
    const version = ++this.#store.version;
    if (kind === FRAME_PUT) {
      const { key, value } = putRequestCodec.read(payload);
      this.data.set(key.toString('latin1'), { value: Buffer.from(value), version });
      return encodeHot(putResponseCodec, { version });
    }
    if (kind === FRAME_DELETE) {
      this.data.delete(deleteRequestCodec.read(payload).key.toString('latin1'));
      return encodeHot(putResponseCodec, { version });
    }
    if (kind === FRAME_WRITE) return this.#write(WriteRequest.decode(payload), version);
    const { range } = DeleteRangeRequest.decode(payload);
    const doomed = this.#keys()
      .filter((key) => inRange(key, range))
      .slice(0, 3);
    for (const key of doomed) this.data.delete(key);
    const cursor = doomed.length === 3 ? Buffer.from(doomed[2]!, 'latin1') : Buffer.alloc(0);
    return Buffer.from(DeleteRangeResponse.encode({ deleted: doomed.length, cursor, version }).finish());
  }

  #write(request: WriteRequest, version: number): Buffer {
    for (const [index, { key, expected }] of request.conditions.entries()) {
      const current = this.data.get(key.toString('latin1'));
      const holds =
        expected?.$case === 'absent'
          ? current === undefined
          : expected?.$case === 'value'
            ? current?.value.equals(expected.value) === true
            : current?.version === expected?.value;
      if (holds) continue;
      const failed = { index, found: current !== undefined, value: current?.value ?? Buffer.alloc(0), version: current?.version ?? 0 };
      return Buffer.from(WriteResponse.encode({ applied: false, version: 0, failed }).finish());
    }
    for (const { operation } of request.operations) {
      if (operation?.$case === 'put') this.data.set(operation.value.key.toString('latin1'), { value: operation.value.value, version });
      else if (operation !== undefined) this.data.delete(operation.value.key.toString('latin1'));
    }
    return Buffer.from(WriteResponse.encode({ applied: true, version, failed: undefined }).finish());
  }

  #scan(
    request: ScanRequest,
    stream: {
      write(chunk: ScanResponse): boolean;
      end(): void;
      emit(event: string, failure: object): boolean;
      once(event: string, listener: () => void): void;
    },
  ): void {
    const keys = this.#keys().filter((key) => inRange(key, request.range));
    if (request.reverse) keys.reverse();
    const cursor = request.cursor.toString('latin1');
    let rest = cursor === '' ? keys : keys.filter((key) => (request.reverse ? key < cursor : key > cursor));
    if (request.limit > 0) rest = rest.slice(0, request.limit);
    let chunks = 0;
    const next = (): void => {
      if (this.#frozen !== undefined) return void this.#frozen.push(next);
      if (chunks++ >= this.chunksBeforeBreak)
        return void stream.emit('error', { code: 14, details: 'scan broke', metadata: new Metadata() });
      const part = rest.slice(0, this.chunkEntries);
      rest = rest.slice(this.chunkEntries);
      this.chunksSent++;
      const more = stream.write({
        entries: part.map((key) => ({
          key: Buffer.from(key, 'latin1'),
          value: request.keysOnly ? Buffer.alloc(0) : this.data.get(key)!.value,
        })),
        cursor: rest.length === 0 ? Buffer.alloc(0) : Buffer.from(part.at(-1)!, 'latin1'),
        version: this.version,
      });
      if (rest.length === 0) stream.end();
      else if (more) setImmediate(next);
      else stream.once('drain', next);
    };
    next();
  }

  #entry(key: Buffer, versionOnly: boolean): { found: boolean; value: Buffer; version: number } {
    const entry = this.data.get(key.toString('latin1'));
    return {
      found: entry !== undefined,
      value: versionOnly || entry === undefined ? Buffer.alloc(0) : entry.value,
      version: entry?.version ?? 0,
    };
  }

  #keys(): string[] {
    return [...this.data.keys()].sort();
  }
}

type Destination = { shard?: number | undefined; epoch?: number | undefined };

const REQUESTS: ReadonlyMap<number, (payload: Buffer) => Destination> = new Map<number, (payload: Buffer) => Destination>([
  [FRAME_GET, (payload) => getRequestCodec.read(payload)],
  [FRAME_PUT, (payload) => putRequestCodec.read(payload)],
  [FRAME_DELETE, (payload) => deleteRequestCodec.read(payload)],
  [FRAME_MULTI_GET, (payload) => MultiGetRequest.decode(payload)],
  [FRAME_WRITE, (payload) => WriteRequest.decode(payload)],
  [FRAME_DELETE_RANGE, (payload) => DeleteRangeRequest.decode(payload)],
]);

export function statusOf(error: unknown): { code: number; details: string; metadata: Metadata } {
  const failure = failureOf(error);
  const metadata = new Metadata();
  metadata.set(KIND_TRAILER, failure.kind);
  metadata.set(CODE_TRAILER, failure.code);
  metadata.set(DETAILS_TRAILER, failure.details);
  return { code: failure.status, details: failure.message, metadata };
}

function requestIdOf(kind: number, payload: Buffer): RequestId | undefined {
  if (kind === FRAME_PUT) return putRequestCodec.read(payload).requestId;
  if (kind === FRAME_DELETE) return deleteRequestCodec.read(payload).requestId;
  return kind === FRAME_WRITE ? WriteRequest.decode(payload).requestId : DeleteRangeRequest.decode(payload).requestId;
}

export function inRange(key: string, range: ScanRequest['range']): boolean {
  if (range?.gt !== undefined && !(key > text(range.gt))) return false;
  if (range?.gte !== undefined && !(key >= text(range.gte))) return false;
  if (range?.lt !== undefined && !(key < text(range.lt))) return false;
  if (range?.lte !== undefined && !(key <= text(range.lte))) return false;
  return range?.prefix === undefined || key.startsWith(text(range.prefix));
}

function text(bytes: Buffer): string {
  return bytes.toString('latin1');
}
