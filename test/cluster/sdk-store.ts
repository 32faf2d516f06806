/**
 * What workloads ask of a store, answered by the SDK: one client over the network, or a table of it.
 *
 * A multiGet tells no versions. So what stands for the version of a key that was read together with others is a number below 0, and a condition on it is one on
 * the value: which is the same where values are never written twice, as those of workloads are.
 *
 * What the SDK says of a failed write decides whether it is refused (`applied: false`) or open. A failure that no fault explains is an error of ours and thrown.
 */
import { ConditionFailedError } from '../../base/condition-failed.ts';
import { SparrowError } from '../../base/errors.ts';
import type { KeyValues, ReadOptions } from '../../client/index.ts';
import type { Changes, Condition, Found, KvClient, Outcome, WriteAnswer } from '../sim/kv-client.ts';

/** What a cluster in trouble may answer. `cancelled` and `closed`: the client was. */
const EXPLAINED: ReadonlySet<string> = new Set(['unavailable', 'rerouted', 'exhausted', 'cancelled', 'closed']);

/** Of several stores together. */
export class CallCounts {
  calls = 0;
  slowestMs = 0;
  /** Of each call. */
  readonly tookMs: number[] = [];
  /** Failed calls by kind and code. */
  readonly failures: Map<string, number> = new Map();
}

export class SdkStore implements KvClient {
  readonly #client: KeyValues;
  readonly #keyOf: (key: string) => string;
  readonly #counts: CallCounts;
  /** Of multiGets: number -n stands for the n-th. */
  readonly #values: string[] = [];

  /** `keyOf`: under which key of the store a workload's own key is. */
  constructor(client: KeyValues, keyOf: (key: string) => string, counts: CallCounts) {
    this.#client = client;
    this.#keyOf = keyOf;
    this.#counts = counts;
  }

  async read(keys: readonly string[], anyNode?: { readonly staleMs: number }): Promise<Outcome<readonly Found[]>> {
    const options = readOptions(anyNode);
    try {
      if (keys.length === 1) {
        const entry = await this.#timed(this.#client.getEntry(this.#keyOf(keys[0]!), options));
        return { status: 'answered', answer: [entry ? { value: text(entry.value), version: entry.version } : MISSING] };
      }
      const values = await this.#timed(
        this.#client.multiGet(
          keys.map((key) => this.#keyOf(key)),
          options,
        ),
      );
      return { status: 'answered', answer: values.map((value) => (value ? this.#standIn(text(value)) : MISSING)) };
    } catch (error) {
      this.#count(error);
      return { status: 'unknown' };
    }
  }

  async write(changes: Changes, conditions: readonly Condition[] = []): Promise<Outcome<WriteAnswer>> {
    const batch = this.#client.batch();
    for (const { key, version } of conditions) {
      if (version === 0) batch.ifAbsent(this.#keyOf(key));
      else if (version < 0) batch.ifValue(this.#keyOf(key), this.#values[-version - 1]!);
      else batch.ifVersion(this.#keyOf(key), version);
    }
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) batch.delete(this.#keyOf(key));
      else batch.put(this.#keyOf(key), value);
    }
    try {
      const { version } = await this.#timed(this.#client.write(batch));
      return { status: 'answered', answer: { applied: true, version } };
    } catch (error) {
      if (error instanceof ConditionFailedError) {
        const { index, current } = error;
        const found = current ? { value: text(current.value), version: current.version } : MISSING;
        return { status: 'answered', answer: { applied: false, condition: index, found } };
      }
      // No fault: workloads do not know what belongs together in a table of several shards.
      if (error instanceof SparrowError && error.code === 'BATCH_SPANS_SHARDS') return { status: 'refused' };
      this.#count(error);
      return { status: (error as SparrowError).details['applied'] === false ? 'refused' : 'unknown' };
    }
  }

  #standIn(value: string): Found {
    this.#values.push(value);
    return { value, version: -this.#values.length };
  }

  #count(error: unknown): void {
    if (!(error instanceof SparrowError) || !(EXPLAINED.has(error.kind) || error.code === 'REQUEST_EXPIRED')) throw error;
    const { failures } = this.#counts;
    const name = `${error.kind}/${error.code}`;
    failures.set(name, (failures.get(name) ?? 0) + 1);
  }

  async #timed<A>(call: Promise<A>): Promise<A> {
    const beganMs = performance.now();
    try {
      return await call;
    } finally {
      this.#counts.calls++;
      const tookMs = performance.now() - beganMs;
      this.#counts.tookMs.push(tookMs);
      this.#counts.slowestMs = Math.max(this.#counts.slowestMs, tookMs);
    }
  }
}

function readOptions(anyNode: { readonly staleMs: number } | undefined): ReadOptions {
  if (anyNode === undefined) return {};
  return anyNode.staleMs === 0 ? { from: 'any' } : { from: 'any', staleMs: anyNode.staleMs };
}

const MISSING: Found = Object.freeze({ value: undefined, version: 0 });

function text(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
}
