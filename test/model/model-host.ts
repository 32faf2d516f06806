/**
 * The host of an engine without a log, beside the model: puts values into its log before they are written, and writes batches again that the engine was
 * found without. What it writes again is what they came to, with the times at which values expire: as a host does that is to get the same store.
 */
import type { BatchOperation, HostedEngine, HostedOperation, Keyspace, KeyValues } from '../../engine/index.ts';
import { HostLog } from '../engine/hosted/host-log.ts';
import type { SimFileSystem } from '../sim/sim-file-system.ts';
import type { Model, ModelWrite } from './model.ts';

const SEGMENT_BYTES: number = 48 * 1024;

/** What it asks of whoever runs the engine. */
interface Runner {
  /** Opens a keyspace, or makes it. */
  storeOf(keyspace: number): Promise<KeyValues>;
  /** A keyspace is no more. */
  dropped(keyspace: number): void;
  until<T>(promise: Promise<T>): Promise<T>;
}

export class ModelHost {
  readonly log: HostLog;
  /** Batches that were written again. */
  repeated = 0;

  constructor(fs: SimFileSystem) {
    this.log = new HostLog(fs, '/log', SEGMENT_BYTES);
  }

  /** The same, with where the values lie. */
  logged(operations: readonly BatchOperation[]): HostedOperation[] {
    return operations.map((operation) => {
      if (operation.type !== 'put') return operation;
      return { ...operation, at: this.log.append(operation.value as Uint8Array) };
    });
  }

  /** Brings the engine to where the model is. */
  async catchUp(engine: HostedEngine, model: Model, runner: Runner): Promise<void> {
    for (let sequence = engine.sequence + 1; sequence <= model.sequence; sequence++) {
      this.repeated++;
      const writes = model.batch(sequence);
      const [first] = writes;
      if (first?.end === null) {
        const keyspace = (await runner.storeOf(first.keyspace)) as Keyspace;
        await runner.until(keyspace.drop({ sequence }));
        runner.dropped(first.keyspace);
        continue;
      }
      const operations: BatchOperation[] = [];
      for (const write of writes) {
        const operation = again(write);
        operations.push(write.keyspace === 0 ? operation : { ...operation, keyspace: (await runner.storeOf(write.keyspace)) as Keyspace });
      }
      await runner.until(engine.write(this.logged(operations), { sequence }));
    }
  }
}

function again({ key, value, expiresAtMs, end }: ModelWrite): BatchOperation {
  if (end !== undefined) return { type: 'deleteRange', gte: key, lt: end! };
  if (value === undefined) return { type: 'delete', key };
  return { type: 'put', key, value, ...(expiresAtMs === undefined ? { ttlMs: Infinity } : { expiresAtMs }) };
}
