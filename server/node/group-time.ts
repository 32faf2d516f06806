/**
 * The time of a group, by which its values expire. Replicas have clocks of their own, apply at times of their own, and compact when they like; what a condition finds must
 * be the same on all of them. So time comes with commands, as the leader's clock had it, and is a part of the replicated state:
 *
 *   time of a command   the larger of what it says and what the state has; conditions and range deletes see what has not expired by then
 *   time of the state   moves on with commands that look, at once; with others when they are STEP_MS further. It never goes back
 *   may be dropped      what has expired at the time of the state as it is durable: entries are applied again after a crash, and must find what they found
 *
 * In the engine, written in the batch of its entry; not there: nothing in this group has ever had an expiry:
 *
 *   | 0x00 | 't' |  ->  | milliseconds since the epoch u64, little-endian |
 *
 * Whoever reads for a client sees what has not expired by its own node's clock, nor by this (`Replica.look`). Format: docs/formats/command.md. Owned by state-machine.ts.
 */
import type { HostedEngine, HostedOperation } from '../../engine/index.ts';
import { OWN_PREFIX } from './keys.ts';

const TIME_KEY: Uint8Array = Uint8Array.of(OWN_PREFIX, 0x74);
/** Time moves on by so much at least where nobody looks. */
export const STEP_MS = 1000;

export class GroupTime {
  readonly #engine: HostedEngine;
  #ms: number;
  /** What the state had from which entry on, as far as that is not durable; some of the smaller steps are left out. */
  #steps: { readonly index: number; readonly ms: number }[] = [];

  constructor(engine: HostedEngine) {
    this.#engine = engine;
    const record = engine.getSync(TIME_KEY);
    this.#ms = record === undefined ? 0 : Number(Buffer.from(record).readBigUInt64LE(0));
    engine.expiry.passed(this.#ms);
    engine.events.on('made-durable', ({ sequence }) => this.#madeDurable(sequence));
  }

  /** Of the state; 0: nothing here has ever had an expiry. */
  get ms(): number {
    return this.#ms;
  }

  /** `look` sees what has not expired by then. It is synchronous. */
  look<T>(atMs: number, look: () => T): T {
    return this.#engine.expiry.look(atMs, look);
  }

  /** Entry `index` brings the state to `ms`, if that is at least `stepMs` further; adds what the engine has to write with it to `batch`. */
  reach(ms: number, index: number, batch: HostedOperation[], stepMs = 1): void {
    if (ms < this.#ms + stepMs) return;
    this.#ms = ms;
    if (ms >= (this.#steps.at(-1)?.ms ?? 0) + STEP_MS) this.#steps.push({ index, ms });
    const record = Buffer.allocUnsafe(8);
    record.writeBigUInt64LE(BigInt(ms));
    batch.push({ type: 'put', key: TIME_KEY, value: record });
  }

  #madeDurable(sequence: number): void {
    const after = this.#steps.findIndex(({ index }) => index > sequence);
    const durable = this.#steps.splice(0, after < 0 ? this.#steps.length : after);
    const last = durable.at(-1);
    if (last !== undefined) this.#engine.expiry.passed(last.ms);
  }
}
