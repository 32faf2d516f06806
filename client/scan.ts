/**
 * A scan of one group of replicas as an async iterator of chunks, over a stream. table-scan.ts makes scans of tables out of it.
 *
 * At most one chunk waits here while the consumer works; the stream is paused meanwhile, and the server stops when the transport's window is
 * full. A stream that breaks is opened again with the cursor of the last whole chunk: no entry is given twice or left out, but entries
 * from then on are as of the later moment.
 */
import type { ClientReadableStream, StatusObject } from '@grpc/grpc-js';

import { SparrowError } from '../base/errors.ts';
import { RPC_STATUS } from '../base/rpc-status.ts';
import { callerMetadata, type ScanRequest, type ScanResponse } from '../proto/index.ts';
import type { Entry } from './api.ts';
import type { CallGroup } from './call.ts';
import type { Connection, SideStream } from './connection.ts';
import type { Visitor } from './connector.ts';
import type { Settings } from './connect-options.ts';
import { isWorthRetrying, isWorthRotating, pauseMs } from './retry.ts';
import { isOfOtherShard } from './router.ts';
import { isMisroute } from './table-route.ts';
import { errorOfEndedStream, isBrokenConnection } from './status-errors.ts';
import type { Wait } from './wait.ts';

export interface ScanPlan {
  range: Record<string, Uint8Array>;
  reverse: boolean;
  /** Undefined: all. */
  limit: number | undefined;
  keysOnly: boolean;
  /** Undefined: the leader alone serves it. */
  anyNode: { staleMs: number } | undefined;
  timeoutMs: number;
  signal: AbortSignal | undefined;
  /** Of the nodes that may serve it, one in the client's zone if there is one. */
  nearest?: boolean;
  /** Undefined: the first group's, which is table `default` as long as it is one shard. */
  shard?: number;
  epoch?: number;
  /** Size of a chunk to aim at; absent: the server's choice. */
  chunkBytes?: number;
}

export interface ScanContext {
  readonly settings: Settings;
  /** Whose connections they are; undefined: the first group's. */
  readonly group?: CallGroup;
  visit(visitor: Visitor): () => void;
  /** The connection's node refused the scan. */
  refused(connection: Connection, error: SparrowError): void;
  /** Told of each chunk's version. */
  observe(version: number): void;
}

/** Entries as they come. A refusal that says that they are in another shard now, or that the plan's shard is not here, is thrown. */
export async function* scanChunks(context: ScanContext, plan: ScanPlan, wait: Wait): AsyncGenerator<Entry[], void, undefined> {
  let cursor: Uint8Array = new Uint8Array(0);
  let left = plan.limit;
  let stream: ChunkStream | undefined;
  let failures = 0;
  try {
    while (left !== 0) {
      if (failures === 0) wait.begin();
      let chunk: ScanResponse | undefined;
      try {
        stream ??= await openStream(context, plan, cursor, left, failures === 0, wait);
        chunk = await stream.next(wait);
        if (chunk === undefined && cursor.length > 0)
          throw new SparrowError('unavailable', 'SESSION_ENDED', 'the server ended the scan early');
      } catch (error) {
        stream?.cancel();
        const refusing = stream !== undefined && stream.refused && error instanceof SparrowError ? stream.connection : undefined;
        stream = undefined;
        // Also of a node that has no replica any more: the next attempt would be its, too.
        if (refusing !== undefined) context.refused(refusing, error as SparrowError);
        if (error instanceof SparrowError && (plan.shard === undefined ? isOfOtherShard(error) : isMisroute(error))) throw error;
        // The connector waited for UNREACHABLE as long as this client may.
        const again = error instanceof SparrowError && isWorthRetrying(error) && error.code !== 'UNREACHABLE' && ++failures <= FAILURES_MAX;
        if (!again) throw error;
        // The connector looks for a node that leads, with pauses of its own.
        if (isWorthRotating(error) && failures <= REROUTES_FREE) continue;
        await wait.pause(pauseMs(failures, context.settings.retryPauseMs, context.settings.retryPauseMsMax, Math.random), error);
        continue;
      }
      if (chunk === undefined) return;
      failures = 0;
      context.observe(chunk.version);
      cursor = chunk.cursor;
      if (left !== undefined) left -= chunk.entries.length;
      yield chunk.entries.map(({ key, value }): Entry => [plain(key), plain(value)]);
      if (cursor.length === 0) return;
    }
  } finally {
    stream?.cancel();
  }
}

/** Streams in a row that broke without a chunk. */
const FAILURES_MAX = 20;
/** Of those, so many may be for want of a leader before pauses come between them. */
const REROUTES_FREE = 3;

function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

async function openStream(
  context: ScanContext,
  plan: ScanPlan,
  cursor: Uint8Array,
  left: number | undefined,
  anywhere: boolean,
  wait: Wait,
): Promise<ChunkStream> {
  const { range, reverse, keysOnly, anyNode, shard, epoch } = plan;
  const request = { range, reverse, limit: left ?? 0, keysOnly, cursor, chunkBytes: plan.chunkBytes ?? 0, anyNode, shard, epoch };
  const spreads = anyNode !== undefined && anywhere;
  let leave: (() => void) | undefined;
  const connected = new Promise<Connection>((resolve, reject) => {
    leave = context.visit({ spreads, anyNode: spreads, nearest: plan.nearest === true, connected: resolve, failed: reject });
  });
  try {
    const connection = await wait.for(connected);
    return new ChunkStream(connection, request as unknown as ScanRequest, context.group);
  } finally {
    leave?.();
  }
}

/** The messages of one stream, taken one by one. */
class ChunkStream implements SideStream {
  readonly connection: Connection;
  readonly group: CallGroup | undefined;
  readonly #leave: () => void;
  readonly #stream: ClientReadableStream<ScanResponse>;
  #chunk: ScanResponse | undefined;
  #ended = false;
  #failure: SparrowError | undefined;
  #notify: (() => void) | undefined;
  #waits = false;
  #refused = false;

  constructor(connection: Connection, request: ScanRequest, group: CallGroup | undefined) {
    this.connection = connection;
    this.group = group;
    this.#leave = connection.addStream(this);
    this.#stream = connection.stubs.kv.scan(request, callerMetadata());
    this.#stream.on('data', (chunk: ScanResponse) => {
      this.#chunk = chunk;
      this.#stream.pause();
      this.#notify?.();
    });
    this.#stream.on('end', () => {
      this.#ended = true;
      this.#notify?.();
    });
    // 'status' says the same and more. It may come before the last chunks were taken, so a good one tells nothing here.
    this.#stream.on('error', () => undefined);
    this.#stream.on('status', (status: StatusObject) => {
      if (Number(status.code) === RPC_STATUS.OK) return;
      this.#refused = !isBrokenConnection(status);
      this.#failure ??= errorOfEndedStream(status);
      this.#notify?.();
    });
  }

  get waits(): boolean {
    return this.#waits;
  }

  /** The server itself ended it, with an error. */
  get refused(): boolean {
    return this.#refused;
  }

  broken(error: SparrowError): void {
    this.#failure ??= error;
    this.#notify?.();
  }

  /** Undefined at the end. */
  async next(wait: Wait): Promise<ScanResponse | undefined> {
    while (this.#chunk === undefined && this.#failure === undefined && !this.#ended) {
      const news = new Promise<void>((resolve) => {
        this.#notify = resolve;
      });
      this.#stream.resume();
      this.#waits = true;
      await wait.for(news).finally(() => (this.#waits = false));
    }
    const chunk = this.#chunk;
    this.#chunk = undefined;
    if (chunk !== undefined) return chunk;
    if (this.#failure !== undefined) throw this.#failure;
    return undefined;
  }

  cancel(): void {
    this.#leave();
    this.#stream.cancel();
  }
}
