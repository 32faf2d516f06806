/** A real server in this process on a directory of its own, and plain gRPC clients for it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, type ServiceError } from '@grpc/grpc-js';
import { CODE_TRAILER, DETAILS_TRAILER, errorOf, KIND_TRAILER } from '../../base/rpc-status.ts';
import type { SparrowError } from '../../base/errors.ts';
import {
  AdminClient,
  type GetResponse,
  KvClient,
  type PutResponse,
  type RequestId,
  type WriteRequest,
  type WriteResponse,
} from '../../proto/index.ts';
import { type RunningServer, type ServerSettingsInput, startServer } from '../../server/index.ts';

type Callback<A> = (error: ServiceError | null, answer: A) => void;

export class ServerHarness implements AsyncDisposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'sparrowkv-e2e-'));
  readonly #settings: Partial<ServerSettingsInput>;
  server!: RunningServer;
  kv!: KvClient;
  admin!: AdminClient;

  private constructor(settings: Partial<ServerSettingsInput>) {
    this.#settings = settings;
  }

  static async start(settings: Partial<ServerSettingsInput> = {}): Promise<ServerHarness> {
    const harness = new ServerHarness(settings);
    await harness.start();
    return harness;
  }

  async start(): Promise<void> {
    const engine = { memoryBytes: 192 << 20, pageCacheBytes: 8 << 20, memtableBytes: 4 << 20, ...this.#settings.engine };
    this.server = await startServer({ data: this.directory, listen: '127.0.0.1:0', logLevel: 'silent', ...this.#settings, engine });
    this.kv = this.client();
    this.admin = new AdminClient(this.server.address, credentials.createInsecure());
  }

  client(options: Record<string, number> = {}): KvClient {
    const large = { 'grpc.max_receive_message_length': -1, 'grpc.use_local_subchannel_pool': 1 };
    return new KvClient(this.server.address, credentials.createInsecure(), { ...large, ...options });
  }

  /** Ends as a killed process would: nothing is finished, the lock goes. */
  async restart(): Promise<void> {
    this.kv.close();
    this.admin.close();
    await this.server.close();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kv.close();
    this.admin.close();
    await this.server.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  put(key: string | Buffer, value: string | Buffer, requestId?: RequestId): Promise<PutResponse> {
    return call((done) => this.kv.put({ key: Buffer.from(key), value: Buffer.from(value), requestId }, done));
  }

  get(key: string | Buffer): Promise<GetResponse> {
    return call((done) => this.kv.get({ key: Buffer.from(key), versionOnly: false, anyNode: undefined }, done));
  }

  write(request: Partial<WriteRequest>): Promise<WriteResponse> {
    return call((done) => this.kv.write({ conditions: [], operations: [], requestId: undefined, ...request }, done));
  }
}

/** A plain call as a promise; its failure as the error that the server threw. */
export function call<A>(start: (done: Callback<A>) => unknown): Promise<A> {
  return new Promise((resolve, reject) => {
    start((error, answer) => {
      if (error === null) resolve(answer);
      else reject(sparrowError(error));
    });
  });
}

export function sparrowError(error: ServiceError): SparrowError {
  const trailer = (name: string): string => String(error.metadata?.get(name)[0] ?? '');
  return errorOf({
    status: error.code,
    message: error.details,
    kind: trailer(KIND_TRAILER),
    code: trailer(CODE_TRAILER),
    details: trailer(DETAILS_TRAILER),
  });
}
