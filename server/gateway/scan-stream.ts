/**
 * Scan: entries in chunks, as of one point in time, no faster than they are read.
 *
 * A chunk is read from the engine only when gRPC took the one before: a reader that stops costs one chunk and what the engine keeps for
 * its point in time, and that ends after `scanStallMsMax`. Between chunks other calls have their turn.
 *
 * Cursor: | direction u8, 0 forward, 1 reverse | last key sent |
 */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { SparrowError } from '../../base/errors.ts';
import type { Entry } from '../../engine/index.ts';
import type { ScanEntry, ScanRequest, ScanResponse } from '../../proto/index.ts';
import {
  type CallState,
  checkCall,
  clampRange,
  engineKey,
  type EngineRange,
  isEmpty,
  type Replica,
  scanOptions,
  successor,
  userKey,
} from '../node/index.ts';
import { coversKey, type HashKeys } from '../shard/descriptor.ts';
import type { ServerSettings } from '../settings.ts';
import { checkBound, readTerms } from './limits.ts';
import type { KvCalls } from './kv-calls.ts';
import type { Caller } from './kv-verbs.ts';
import { statusOf } from './rpc-errors.ts';
import type { CallCounter } from './call-counter.ts';
import { PlainCall } from './unary-call.ts';

export type ScanCall = ServerWritableStream<ScanRequest, ScanResponse>;

/** Beyond this an entry is counted as well as its bytes. */
const ENTRY_OVERHEAD_BYTES = 16;

/** How a scan is served: settles when its last chunk is written, or nobody is there for it. */
export type Scans = (call: ScanCall, state: Caller) => Promise<void>;

export function scanMethod(counter: CallCounter, serve: Scans, routed: (error: unknown) => unknown): (call: ScanCall) => void {
  const scans = counter.of('scan');
  return (call) => {
    counter.callsInFlight++;
    serve(call, new PlainCall(call))
      .then(
        () => {
          scans.answered++;
          call.end();
        },
        (error: unknown) => {
          scans.refuse(error);
          if (!call.cancelled) call.emit('error', statusOf(routed(error)));
        },
      )
      .finally(() => counter.callsInFlight--);
  };
}

/** Chunks that come from elsewhere, no faster than they are read. */
export async function streamChunks(
  chunks: AsyncIterable<ScanResponse>,
  call: ScanCall,
  { scanStallMsMax }: Pick<ServerSettings, 'scanStallMsMax'>,
): Promise<void> {
  for await (const chunk of chunks) {
    await written(call, chunk, scanStallMsMax);
    if (call.cancelled) return;
  }
}

/** From this node's replica. Whether it may be is found out before the first chunk is written. */
export async function streamEntries(calls: KvCalls, call: ScanCall, state: CallState): Promise<void> {
  const { settings, router } = calls;
  const { request } = call;
  const asked = rangeOf(calls, request);
  const replica = router.forRange(request, asked);
  await calls.quotas?.read(replica.shard.descriptor.table, 1);
  await replica.read(readTerms(request.anyNode));
  router.checkRange(replica, request, asked);
  // Not before: waiting may have brought others.
  const { engine } = replica;
  const { keys } = replica.shard.descriptor;
  const range = keys.kind === 'range' ? clampRange(asked, keys) : asked;
  if (isEmpty(range) || call.cancelled) return;
  const chunkBytes = request.chunkBytes === 0 ? settings.scanChunkBytes : Math.min(request.chunkBytes, 4 * settings.scanChunkBytes);
  const version = replica.applied;
  const entries = entriesOf(replica, range, request);
  const atMs = replica.timeMs;
  const take = (): IteratorResult<Entry> => replica.look(atMs, () => entries.next());
  try {
    let next = take();
    while (!next.done) {
      const chunk: ScanEntry[] = [];
      let bytes = 0;
      let last: Uint8Array = next.value[0];
      while (!next.done && (chunk.length === 0 || bytes < chunkBytes)) {
        const [key, value]: Entry = next.value;
        chunk.push({ key: asBuffer(userKey(key)), value: asBuffer(value) });
        bytes += key.length + value.length + ENTRY_OVERHEAD_BYTES;
        last = key;
        next = take();
      }
      const cursor = next.done ? EMPTY : cursorOf(userKey(last), request.reverse);
      await written(call, { entries: chunk, cursor, version }, settings.scanStallMsMax);
      if (call.cancelled) return;
      if (!next.done) await calls.quotas?.read(replica.shard.descriptor.table, 1);
      const over = checkCall(state, performance.now());
      if (over !== undefined) throw over;
      if (replica.stopped !== undefined) throw replica.stopped;
      if (replica.installing || replica.engine !== engine) throw replaced();
    }
  } finally {
    entries.return?.();
  }
}

/** The scan goes on elsewhere, or here a little later, with its cursor. */
function replaced(): SparrowError {
  return new SparrowError('unavailable', 'SNAPSHOT_INSTALLING', 'a snapshot from another node takes the place of what is scanned');
}

/** What is left of the range that is asked for. */
function rangeOf(calls: KvCalls, request: ScanRequest): EngineRange {
  const range = calls.range(request.range);
  if (request.cursor.length === 0) return range;
  const key = request.cursor.subarray(1);
  if (request.cursor[0] !== (request.reverse ? 1 : 0) || key.length === 0) {
    throw new SparrowError('invalid', 'CURSOR', 'cursor is not one of a scan in this direction', { field: 'cursor' });
  }
  checkBound(key, 'cursor', calls.settings);
  if (request.reverse) {
    const end = engineKey(key);
    if (Buffer.compare(end, range.end) < 0) range.end = end;
  } else {
    const start = successor(engineKey(key));
    if (Buffer.compare(start, range.start) > 0) range.start = start;
  }
  return range;
}

/** Keys of another shard that are in the engine are left out. */
function entriesOf({ engine, shard }: Replica, range: EngineRange, request: ScanRequest): IterableIterator<Entry> {
  const { keys } = shard.descriptor;
  const options = { ...scanOptions(range), reverse: request.reverse, keysOnly: request.keysOnly };
  const limit = request.limit === 0 ? Infinity : request.limit;
  if (shard.mixed && keys.kind === 'hash') return ownEntries(engine.scanSync(options), keys, limit);
  return engine.scanSync(limit === Infinity ? options : { ...options, limit });
}

function* ownEntries(entries: IterableIterator<Entry>, keys: HashKeys, limit: number): IterableIterator<Entry> {
  let left = limit;
  for (const entry of entries) {
    if (!coversKey(keys, userKey(entry[0]))) continue;
    yield entry;
    if (--left === 0) return;
  }
}

/** Settles when gRPC has taken the chunk, or the call is over. */
function written(call: ScanCall, chunk: ScanResponse, stallMsMax: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: SparrowError): void => {
      clearTimeout(timer);
      call.off('cancelled', gone);
      if (error === undefined) resolve();
      else reject(error);
    };
    const gone = (): void => finish();
    const timer = setTimeout(() => {
      const message = `the scan was not read for ${stallMsMax} ms`;
      finish(new SparrowError('exhausted', 'SCAN_STALLED', message, { limit: stallMsMax }));
    }, stallMsMax);
    call.once('cancelled', gone);
    // The callback comes when HTTP/2's flow control has let the chunk out.
    call.write(chunk, () => setImmediate(finish));
  });
}

function cursorOf(key: Uint8Array, reverse: boolean): Buffer {
  const cursor = Buffer.allocUnsafe(1 + key.length);
  cursor[0] = reverse ? 1 : 0;
  cursor.set(key, 1);
  return cursor;
}

const EMPTY: Buffer = Buffer.alloc(0);

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
