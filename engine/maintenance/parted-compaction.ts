/**
 * Runs a compaction in parts (compaction/split.ts), each a job of its own in its own worker. It is one all the same: its tables and block files
 * take effect with one version edit, and when a part fails the others are given up and nothing counts. What a crash leaves of it the next opening
 * removes, as of any job.
 */
import type { Background } from '../background/index.ts';
import type { CompactionJob, CompactionPart, CompactionResult } from '../compaction/index.ts';

export interface Parting {
  /** Below 2: it is run as a whole. */
  readonly partsMax: number;
  readonly partBytesMin: number;
  /** Ids for what a part makes. */
  readonly fileIds: (part: CompactionPart) => readonly number[];
}

/** `results`: of the parts that were done, by key; with an error they are to be thrown away. */
export type OnPartsEnd = (error: Error | undefined, results: readonly CompactionResult[]) => void;

/** `job.fileIds` are for the whole. */
export function compactInParts(background: Background, job: CompactionJob, parting: Parting, onEnd: OnPartsEnd): void {
  const { partsMax, partBytesMin, fileIds } = parting;
  const asWhole = (): void => {
    background.compact(job, (error, result) => onEnd(error, result ? [result] : []));
  };
  if (partsMax < 2) {
    asWhole();
    return;
  }
  const { directory, inputs } = job;
  background.split({ directory, inputs, partsMax, partBytesMin }, (error, parts) => {
    if (error) onEnd(error, []);
    else if (parts!.length < 2) asWhole();
    else
      new Parts(onEnd).run(
        background,
        parts!.map((part) => ({ ...job, inputs: part.inputs, from: part.from, to: part.to, fileIds: fileIds(part) })),
      );
  });
}

class Parts {
  readonly #onEnd: OnPartsEnd;
  readonly #results: (CompactionResult | undefined)[] = [];
  readonly #cancels: (() => void)[] = [];
  #failure: Error | undefined;
  #left = 0;
  #ended = false;

  constructor(onEnd: OnPartsEnd) {
    this.#onEnd = onEnd;
  }

  run(background: Background, jobs: readonly CompactionJob[]): void {
    this.#left = jobs.length;
    for (const [i, job] of jobs.entries()) {
      if (this.#failure) this.#left--;
      else this.#cancels.push(background.compact(job, (error, result) => this.#partEnded(i, error, result)));
    }
    this.#endIfDone();
  }

  #partEnded(part: number, error: Error | undefined, result: CompactionResult | undefined): void {
    this.#left--;
    this.#results[part] = result;
    if (error && !this.#failure) {
      this.#failure = error;
      for (const cancel of this.#cancels) cancel();
    }
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#left > 0 || this.#ended) return;
    this.#ended = true;
    this.#onEnd(
      this.#failure,
      this.#results.filter((result) => result !== undefined),
    );
  }
}
