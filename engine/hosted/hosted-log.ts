/**
 * Stands where other engines have their log (log/log-writer.ts) and has nothing to write: what is written lies in the host's log. What is left of a log
 * is that the manifest waits for it, and that a failure of it is final.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Events } from '../events/index.ts';
import type { Hosted } from '../hosted-api.ts';
import type { EngineLog } from '../log/index.ts';

export class HostedLog implements EngineLog {
  readonly segment = 0;
  readonly nextOffset = 0;
  readonly pendingBytes = 0;
  readonly bytesWritten = 0;
  readonly syncs: EngineLog['syncs'] = { syncs: 0, syncCalls: 0, syncCallsMax: 0 };
  readonly #hosted: Hosted;
  readonly #directory: string;
  readonly #events: Events;
  /** Batches have pointed to bytes that the host may not have on disk. */
  #isPointed = false;
  #failure: SparrowError | undefined;

  constructor(hosted: Hosted, directory: string, events: Events) {
    this.#hosted = hosted;
    this.#directory = directory;
    this.#events = events;
  }

  get failure(): SparrowError | undefined {
    return this.#failure;
  }

  assertWritable(): void {
    if (this.#failure) throw this.#failure;
  }

  /** A batch has pointed into the host's log. */
  pointed(): void {
    this.#isPointed = this.#hosted.sync !== undefined;
  }

  write(): void {
    this.assertWritable();
  }

  /** Settles when what batches have pointed to is on the host's disk. */
  async sync(): Promise<void> {
    this.assertWritable();
    if (!this.#isPointed) return;
    this.#isPointed = false;
    try {
      await this.#hosted.sync!();
    } catch (error) {
      this.#isPointed = true;
      throw error;
    }
  }

  retire(): undefined {
    return undefined;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends all writing. Returns what writers are told. */
  abandon(operation: string, cause: unknown): SparrowError {
    if (this.#failure) return this.#failure;
    const code = String((cause as NodeJS.ErrnoException).code ?? '');
    const failure = new SparrowError(
      'closed',
      'WRITER_FAILED',
      `the engine's ${operation} failed (${String((cause as Error).message ?? cause)}); nothing is written until it is opened again`,
      { operation, directory: this.#directory, code },
      cause,
    );
    this.#failure = failure;
    this.#events.emit({ type: 'writing-failed', operation, code, message: failure.message });
    return failure;
  }
}
