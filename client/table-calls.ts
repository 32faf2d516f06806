/**
 * Calls of tables in the form in which they come over the wire, for whoever passes on what others ask: the proxy in a server. Table, retries, shards and leaders are
 * seen to as for the SDK's own verbs.
 *
 * A write that carries a request id keeps it, so that whoever sent it may send it again, over another proxy, too.
 */
import { randomBytes } from 'node:crypto';

import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  DeleteRequest,
  DeleteResponse,
  GetRequest,
  GetResponse,
  MultiGetRequest,
  MultiGetResponse,
  PutRequest,
  PutResponse,
  ScanEntry,
  ScanRequest,
  ScanResponse,
  WriteRequest,
  WriteResponse,
} from '../proto/index.ts';
import type { CallOptions, ConnectOptions } from './api.ts';
import { after, boundsOf, rangeOfBounds, until } from './bounds.ts';
import { CallRunner } from './call-runner.ts';
import { resolveAddresses, resolveConnectOptions, type Settings } from './connect-options.ts';
import { DELETE, GET, type Method, MULTI_GET, PUT, type Request, WRITE } from './methods.ts';
import { RequestIds } from './request-ids.ts';
import { DEFAULT_TABLE } from './router.ts';
import { clientClosed } from './settled-errors.ts';
import { realSurroundings } from './surroundings.ts';
import { deleteRangeOfTable } from './table-delete-range.ts';
import { fanOut } from './table-multi-get.ts';
import type { TableRoute } from './table-route.ts';
import { scanTable } from './table-scan.ts';

const CHUNK_BYTES = 128 * 1024;
/** Beside its bytes, an entry counts as so many. */
const ENTRY_OVERHEAD_BYTES = 16;
const NOTHING = new Uint8Array(0);

/** As of `connect`; connects when it is first called. Throws `invalid` errors for wrong arguments. */
export function connectTables(addresses: readonly string[], options: ConnectOptions = {}): TableCalls {
  return new TableCalls(resolveAddresses(addresses), resolveConnectOptions(options));
}

export class TableCalls {
  readonly #settings: Settings;
  readonly #calls: CallRunner;
  readonly #closing = new AbortController();

  constructor(addresses: readonly string[], settings: Settings) {
    this.#settings = settings;
    this.#calls = new CallRunner(addresses, settings, new RequestIds(randomBytes(16)), realSurroundings(settings));
  }

  get(request: GetRequest, options: CallOptions): Promise<GetResponse> {
    return this.#run(GET, request, request.key.length, options);
  }

  put(request: PutRequest, options: CallOptions): Promise<PutResponse> {
    return this.#run(PUT, request, request.key.length + request.value.length, options);
  }

  delete(request: DeleteRequest, options: CallOptions): Promise<DeleteResponse> {
    return this.#run(DELETE, request, request.key.length, options);
  }

  write(request: WriteRequest, options: CallOptions): Promise<WriteResponse> {
    let bytes = 0;
    for (const { operation } of request.operations)
      if (operation !== undefined) bytes += operation.value.key.length + (operation.$case === 'put' ? operation.value.value.length : 0);
    return this.#run(WRITE, request, bytes, options);
  }

  async multiGet(request: MultiGetRequest, options: CallOptions): Promise<MultiGetResponse> {
    const { anyNode } = request;
    const route = this.#routeOf(request);
    const context = { route, settings: this.#settings, closed: this.#closing.signal };
    const entries = await fanOut(context, request.keys, options, async (keys, timeoutMs) => {
      const bytes = keys.reduce((sum, key) => sum + key.length, 0);
      return (await this.#calls.run(MULTI_GET, { keys, anyNode }, bytes, { ...options, timeoutMs }, { route })).entries;
    });
    return { entries };
  }

  /** To the end of the range, or, with a limit, to the key by which so many are through; keys that are written meanwhile go with them. */
  async deleteRange(request: DeleteRangeRequest, options: CallOptions): Promise<DeleteRangeResponse> {
    const { limit, cursor } = request;
    const context = { route: this.#routeOf(request), calls: this.#calls, settings: this.#settings, closed: this.#closing.signal };
    const whole = { ...request.range } as Record<string, Uint8Array>;
    const range = cursor.length > 0 ? rangeOfBounds(after(boundsOf(whole), cursor, false)) : whole;
    const last = limit === 0 ? undefined : await this.#keyAt(context.route, range, limit, options);
    const upTo = last === undefined ? range : rangeOfBounds(until(boundsOf(range), last));
    const deleted = await deleteRangeOfTable(context, upTo, NOTHING, options);
    return { deleted, cursor: asBuffer(last ?? NOTHING), version: 0 };
  }

  /** Chunks with cursors, as a server sends them. */
  async *scan(request: ScanRequest, options: CallOptions): AsyncGenerator<ScanResponse, void, undefined> {
    const { reverse, keysOnly, limit, anyNode, cursor } = request;
    const whole = { ...request.range } as Record<string, Uint8Array>;
    const range = cursor.length > 1 ? rangeOfBounds(after(boundsOf(whole), cursor.subarray(1), reverse)) : whole;
    const plan = {
      range,
      reverse,
      keysOnly,
      limit: limit === 0 ? undefined : limit,
      anyNode,
      timeoutMs: options.timeoutMs ?? this.#settings.timeoutMs,
      signal: options.signal,
    };
    const chunkBytes = request.chunkBytes === 0 ? CHUNK_BYTES : Math.min(request.chunkBytes, 4 * CHUNK_BYTES);
    let entries: ScanEntry[] = [];
    let bytes = 0;
    for await (const [key, value] of scanTable({ settings: this.#settings, route: this.#routeOf(request) }, plan, this.#closing.signal)) {
      if (bytes >= chunkBytes) {
        yield { entries, cursor: Buffer.concat([Buffer.of(reverse ? 1 : 0), entries.at(-1)!.key]), version: 0 };
        entries = [];
        bytes = 0;
      }
      entries.push({ key: asBuffer(key), value: asBuffer(value) });
      bytes += key.length + value.length + ENTRY_OVERHEAD_BYTES;
    }
    if (entries.length > 0) yield { entries, cursor: Buffer.alloc(0), version: 0 };
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(clientClosed());
    this.#calls.close();
  }

  /** The key that stands at this place in a range, from 1 on; undefined: none is behind it. */
  async #keyAt(route: TableRoute, range: Record<string, Uint8Array>, place: number, options: CallOptions): Promise<Uint8Array | undefined> {
    const timeoutMs = options.timeoutMs ?? this.#settings.timeoutMs;
    const plan = { range, reverse: false, keysOnly: true, limit: place + 1, anyNode: undefined, timeoutMs, signal: options.signal };
    let count = 0;
    let found: Uint8Array | undefined;
    for await (const [key] of scanTable({ settings: this.#settings, route }, plan, this.#closing.signal)) {
      count++;
      if (count === place) found = key;
    }
    return count > place ? found : undefined;
  }

  #routeOf({ table }: { table?: string | undefined }): TableRoute {
    return this.#calls.table(table === undefined || table === '' ? DEFAULT_TABLE : table);
  }

  #run<Q extends { table?: string | undefined }, A>(method: Method<Q, A>, request: Q, bytes: number, options: CallOptions): Promise<A> {
    const route = this.#routeOf(request);
    return this.#calls.run(method, { ...request, table: undefined } as Request<Q>, bytes, options, { route });
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
