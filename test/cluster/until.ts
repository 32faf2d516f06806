/** Waits for a condition, by asking again and again. */
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_MS = 25;

/** What `look` answers first that is neither undefined nor false. Throws `what` when there is nothing within the time. */
export async function until<T>(what: string, msMax: number, look: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> {
  const endMs = performance.now() + msMax;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    if (performance.now() >= endMs) throw new Error(`after ${msMax} ms: ${what}`);
    await sleep(LOOK_MS);
  }
}
