/**
 * Whether reads that may be old are as young as they must be: what a read shows is not older than anything that was acknowledged, or seen by a
 * linearizable read, `staleMs` before it was asked for. And it shows only what somebody wrote.
 */
import type { Operation, RegisterInput, RegisterOutput, Verdict } from '../linearizability/index.ts';
import type { Found } from '../kv-client.ts';

export interface StaleRead {
  readonly key: string;
  readonly staleMs: number;
  readonly invokedMs: number;
  readonly answeredMs: number;
  readonly found: Found;
}

type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

/** Undefined: all are. */
export function checkAge(operations: readonly RegisterOperation[], reads: readonly StaleRead[]): Verdict<unknown, unknown> | undefined {
  for (const read of reads) {
    const mine = operations.filter(({ input }) => input.key === read.key);
    const wrong = problemOf(mine, read);
    if (wrong === undefined) continue;
    const { key, staleMs, invokedMs, found } = read;
    const shown = found.value === undefined ? 'nothing' : `${found.value} (version ${found.version})`;
    const text = `a read of ${key} at ${invokedMs.toFixed(1)} ms, at most ${staleMs} ms old, shows ${shown}: ${wrong}`;
    return { verdict: 'violation', visited: 0, operations: mine, text };
  }
  return undefined;
}

function problemOf(operations: readonly RegisterOperation[], { staleMs, invokedMs, answeredMs, found }: StaleRead): string | undefined {
  // The newest that must be seen: a version, and whether it was a delete.
  let least = { version: 0, atMs: 0, deleted: true };
  for (const { input, response } of operations) {
    if (response === undefined || response.atMs > invokedMs - staleMs) continue;
    const { version } = response.output;
    if (version > least.version) least = { version, atMs: response.atMs, deleted: input.type === 'delete' };
  }
  if (found.value !== undefined) {
    const written = operations.some(({ input }) => 'value' in input && input.value === found.value);
    if (!written) return 'nobody wrote that';
    return found.version >= least.version ? undefined : `version ${least.version} was known at ${least.atMs.toFixed(1)} ms`;
  }
  if (least.deleted) return undefined;
  const deletedSince = operations.some(
    ({ input, invokedMs: beganMs, response }) =>
      input.type === 'delete' && beganMs <= answeredMs && (response === undefined || response.output.version > least.version),
  );
  return deletedSince ? undefined : `version ${least.version} was known at ${least.atMs.toFixed(1)} ms, and nobody deleted it`;
}
