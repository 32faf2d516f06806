/**
 * Changes keys by what they hold: reads them, and writes them on condition that their versions are still the same; again, from the reading
 * on, when they are not. Only the last writing can have had an effect, so that is when the operation begins.
 */
import type { Invocation } from '../linearizability/index.ts';
import type { Found, KvClient } from '../kv-client.ts';

const ATTEMPTS_MAX = 5;

export interface Change<O> {
  /** Undefined: nothing is to be written. */
  readonly puts: Readonly<Record<string, string>> | undefined;
  readonly output: O;
}

/** `begin` is called before each writing, and once for what needs none: then the reading is the operation. */
export async function modify<I, O>(
  store: KvClient,
  keys: readonly string[],
  change: (found: readonly Found[]) => Change<O>,
  begin: () => Invocation<I, O>,
): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const reading = begin();
    const read = await store.read(keys);
    if (read.status !== 'answered') return reading.refuse();
    const { puts, output } = change(read.answer);
    if (!puts) return reading.respond(output);
    reading.refuse();
    const invocation = begin();
    const written = await store.write(
      puts,
      keys.map((key, i) => ({ key, version: read.answer[i]!.version })),
    );
    if (written.status === 'unknown') return invocation.lose();
    if (written.status === 'answered' && written.answer.applied) return invocation.respond(output);
    invocation.refuse();
    if (written.status === 'refused') return;
  }
}
