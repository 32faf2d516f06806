/**
 * Calls of clients that know no shards, passed on by the SDK: it has the map, finds leaders, and tries again. What it is asked with names a table; without one it
 * is `default`.
 *
 * A call may take as long as its sender says, DEFAULT_MS when he says nothing. It is not cancelled with its sender: what was sent is done or not, as with any
 * call whose answer is lost.
 *
 * Used by server.ts for nodes, and by proxy-server.ts.
 */
import { performance } from 'node:perf_hooks';
import { SparrowError } from '../../base/errors.ts';
import { type CallOptions, connectTables, type TableCalls, type TlsOptions } from '../../client/index.ts';
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  DeleteRequest,
  GetRequest,
  GetResponse,
  MultiGetRequest,
  MultiGetResponse,
  PutRequest,
  PutResponse,
  ScanRequest,
  ScanResponse,
  WriteRequest,
  WriteResponse,
} from '../../proto/index.ts';
import type { CallState } from '../node/index.ts';
import type { Room, TableProxy } from '../gateway/index.ts';
import type { ServerSettings } from '../settings.ts';
import { PassedOnWrites } from './passed-on-writes.ts';

const DEFAULT_MS = 30_000;
const LONGEST_MS = 3_600_000;
/** All callers of this node together; more wait, up to CALLS_WAITING_MAX. */
const CALLS_IN_FLIGHT_MAX = 10_000;
const CALLS_WAITING_MAX = 10_000;

export class SdkTables implements TableProxy {
  readonly #addresses: () => readonly string[];
  readonly #tls: TlsOptions | undefined;
  readonly #zone: string;
  readonly #writes: PassedOnWrites;
  #tables: TableCalls | undefined;
  #closed: SparrowError | undefined;

  /** `addresses`: some nodes, as they are known when the first call comes; nothing is connected before. */
  constructor(
    addresses: () => readonly string[],
    tls: TlsOptions | undefined,
    { zone, writeBytesInFlightMax: bytesMax, writesWaitingMax: waitingMax }: ServerSettings,
  ) {
    this.#addresses = addresses;
    this.#tls = tls;
    this.#zone = zone;
    this.#writes = new PassedOnWrites({ bytesMax, waitingMax });
  }

  /** For further writes. */
  get room(): Room {
    return this.#writes.room;
  }

  get(request: GetRequest, call: CallState): Promise<GetResponse> {
    return this.#calls.get(request, optionsOf(call));
  }

  multiGet(request: MultiGetRequest, call: CallState): Promise<MultiGetResponse> {
    return this.#calls.multiGet(request, optionsOf(call));
  }

  put(request: PutRequest, call: CallState): Promise<PutResponse> {
    return this.#writes.enter(request.key.length + request.value.length, call, () => this.#calls.put(request, optionsOf(call)));
  }

  delete(request: DeleteRequest, call: CallState): Promise<PutResponse> {
    return this.#writes.enter(request.key.length, call, () => this.#calls.delete(request, optionsOf(call)));
  }

  write(request: WriteRequest, call: CallState): Promise<WriteResponse> {
    return this.#writes.enter(bytesOf(request), call, () => this.#calls.write(request, optionsOf(call)));
  }

  deleteRange(request: DeleteRangeRequest, call: CallState): Promise<DeleteRangeResponse> {
    return this.#calls.deleteRange(request, optionsOf(call));
  }

  scan(request: ScanRequest, call: CallState): AsyncIterable<ScanResponse> {
    return this.#calls.scan(request, optionsOf(call));
  }

  /** Writes that wait for room were not passed on: they are refused with `unavailable/SHUTTING_DOWN`, as all that comes. Idempotent. */
  close(): void {
    this.#closed ??= new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', { applied: false });
    this.#writes.close(this.#closed);
    this.#tables?.close();
  }

  get #calls(): TableCalls {
    if (this.#closed !== undefined) throw this.#closed;
    return (this.#tables ??= connectTables(this.#addresses(), {
      callsInFlightMax: CALLS_IN_FLIGHT_MAX,
      callsWaitingMax: CALLS_WAITING_MAX,
      zone: this.#zone,
      ...(this.#tls && { tls: this.#tls }),
    }));
  }
}

function optionsOf({ deadlineMs }: CallState): CallOptions {
  if (deadlineMs === Infinity) return { timeoutMs: DEFAULT_MS };
  return { timeoutMs: Math.min(LONGEST_MS, Math.max(1, Math.ceil(deadlineMs - performance.now()))) };
}

function bytesOf({ conditions, operations }: WriteRequest): number {
  let bytes = 0;
  for (const { key, expected } of conditions) bytes += key.length + (expected?.$case === 'value' ? expected.value.length : 0);
  for (const { operation } of operations) {
    if (operation !== undefined) bytes += operation.value.key.length + (operation.$case === 'put' ? operation.value.value.length : 0);
  }
  return bytes;
}
