/**
 * When a read is asked of a second node as well: after a time that the caller gives, or after what nearly all reads before it took.
 *
 * The time that reads take is kept of the last SAMPLES of those that ask for it; of them, the 999th of 1,000 decides. Used by verbs.ts.
 */
import type { Timer } from '../base/env.ts';
import type { AnyCall } from './call.ts';
import { aborted } from './settled-errors.ts';
import type { Surroundings } from './surroundings.ts';

const SAMPLES = 2_000;
/** Fewer tell nothing of so rare a thing. */
const SAMPLES_MIN = 200;
/** Sorted anew after so many more. */
const RENEW_AFTER = 100;
const SHARE = 0.999;

export class HedgeDelay {
  readonly #samples: Float64Array = new Float64Array(SAMPLES);
  #count = 0;
  #next = 0;
  #sinceSorted = 0;
  #delayMs: number | undefined;

  took(milliseconds: number): void {
    this.#samples[this.#next] = milliseconds;
    this.#next = (this.#next + 1) % SAMPLES;
    this.#count = Math.min(SAMPLES, this.#count + 1);
    this.#sinceSorted++;
  }

  /** Undefined: not known yet. At least a millisecond. */
  get delayMs(): number | undefined {
    if (this.#count < SAMPLES_MIN) return undefined;
    if (this.#delayMs === undefined || this.#sinceSorted >= RENEW_AFTER) {
      const sorted = this.#samples.slice(0, this.#count).sort();
      this.#delayMs = Math.max(1, sorted[Math.min(this.#count - 1, Math.floor(this.#count * SHARE))]!);
      this.#sinceSorted = 0;
    }
    return this.#delayMs;
  }
}

/** One of two ways in which a read is asked. `signal` ends it. */
export type Attempt<A> = (signal: AbortSignal, begun: (call: AnyCall) => void) => Promise<A>;

/**
 * The first answer of `first`, and of `second`, which begins when there is none after `delayMs`; `second` is told the address of the node that the first one is at,
 * and may decline. The other one is cancelled. When one fails it is left to the other; when both do, the first one's error counts.
 */
export async function hedged<A>(
  delayMs: number,
  scheduler: Surroundings['scheduler'],
  signal: AbortSignal | undefined,
  first: Attempt<A>,
  second: (avoid: string | undefined) => Attempt<A> | undefined,
): Promise<A> {
  const ends = [new AbortController(), new AbortController()] as const;
  const onAbort = (): void => ends.forEach((end) => end.abort(signal?.reason));
  if (signal?.aborted === true) throw aborted('the read', signal, {});
  signal?.addEventListener('abort', onAbort, { once: true });
  let call: AnyCall | undefined;
  let timer: Timer | undefined;
  try {
    const answer = first(ends[0].signal, (begun) => (call = begun));
    const late = new Promise<undefined>((resolve) => (timer = scheduler.after(delayMs, () => resolve(undefined))));
    const early = await Promise.race([answer.then((value) => ({ value })), late]);
    if (early !== undefined) return early.value;
    const other = second(call?.group?.target?.address)?.(ends[1].signal, () => undefined);
    if (other === undefined) return await answer;
    return await Promise.any([answer, other]).catch((error: unknown) => {
      throw error instanceof AggregateError ? error.errors[0] : error;
    });
  } finally {
    timer?.cancel();
    signal?.removeEventListener('abort', onAbort);
    ends.forEach((end) => end.abort());
  }
}
