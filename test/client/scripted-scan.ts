/** The stream of a scan of a scripted cluster (scripted-shards.ts), as far as the SDK uses it. */
import { EventEmitter } from 'node:events';

import { RPC_STATUS } from '../../base/rpc-status.ts';
import type { ScanRequest } from '../../proto/index.ts';
import type { SimScheduler } from '../sim/sim-scheduler.ts';
import { statusOf } from './fake-server.ts';
import { LATENCY_MS, type ScriptedConnection } from './scripted-cluster.ts';
import { bytesOf, type ScriptedShard, textOf, within } from './scripted-shard.ts';

export interface ScanParts {
  readonly scheduler: Pick<SimScheduler, 'after'>;
  readonly chunkEntries: number;
  /** The shard that serves it. Throws why none does. */
  readonly shard: () => ScriptedShard;
}

/** As of the moment when it begins; a chunk goes out for each time that it is resumed. */
export function startScan(
  connection: ScriptedConnection,
  request: ScanRequest,
  { scheduler, chunkEntries, shard }: ScanParts,
): ScriptedStream {
  const stream = new ScriptedStream();
  const broken = (): boolean => stream.emit('status', { code: RPC_STATUS.UNAVAILABLE, details: 'gone', metadata: NO_METADATA });
  connection.onClose.add(broken);
  let rest: [string, string][] = [];
  const next = (): void => {
    if (stream.cancelled || connection.over) return;
    connection.node.whenRunning(() => {
      const part = rest.splice(0, chunkEntries);
      const cursor = rest.length === 0 ? Buffer.alloc(0) : bytesOf(`${request.reverse ? '\x01' : '\x00'}${part.at(-1)![0]}`);
      scheduler.after(LATENCY_MS, () => {
        if (stream.cancelled) return;
        connection.heard++;
        if (part.length > 0) {
          const entries = part.map(([key, value]) => ({ key: bytesOf(key), value: bytesOf(request.keysOnly ? '' : value) }));
          stream.emit('data', { entries, cursor, version: 0 });
        }
        if (rest.length > 0) stream.whenResumed(next);
        else stream.emit('end');
      });
    });
  };
  scheduler.after(LATENCY_MS, () =>
    connection.node.whenRunning(() => {
      if (connection.node.state === 'down') return broken();
      try {
        rest = entriesFor(request, shard());
        next();
      } catch (error) {
        scheduler.after(LATENCY_MS, () => stream.emit('status', statusOf(error)));
      }
    }),
  );
  return stream;
}

function entriesFor({ cursor, range, reverse, limit }: ScanRequest, { data }: ScriptedShard): [string, string][] {
  const after = textOf(cursor).slice(1);
  const found = [...data]
    .filter(([key]) => within(key, range) && (after === '' || (reverse ? key < after : key > after)))
    .map(([key, { value }]): [string, string] => [key, value])
    .sort(([a], [b]) => (a < b ? -1 : 1) * (reverse ? -1 : 1));
  return limit > 0 ? found.slice(0, limit) : found;
}

/** The part of a gRPC stream that a scan uses. */
class ScriptedStream extends EventEmitter {
  cancelled: boolean = false;
  #paused = false;
  #next: (() => void) | undefined;

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    const next = this.#next;
    this.#next = undefined;
    next?.();
  }

  whenResumed(next: () => void): void {
    if (this.#paused) this.#next = next;
    else next();
  }

  cancel(): void {
    this.cancelled = true;
  }
}

const NO_METADATA: { get(): string[] } = { get: () => [] };
