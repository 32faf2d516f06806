/**
 * What the members of a simulated group do, side by side. Raft's own promises, looked at while things happen, so that what breaks one is known at once and
 * not only when somebody comes to suffer from it:
 *
 *   one vote      a member votes for one candidate in a term, itself included
 *   one leader    of a term
 *   one history   what is applied at an index is the same entry on every member, in every life
 *
 * Told by server-program.ts: of messages when they leave, of entries before they are applied.
 */
import type { Engine } from '../../engine/index.ts';
import type { LogEntry, Message } from '../../server/raft/index.ts';
import { type ApplyResult, StateMachine } from '../../server/node/state-machine.ts';

export type Rule = 'one vote' | 'one leader' | 'one history';

interface AppliedEntry {
  readonly term: number;
  readonly data: Buffer;
  /** The change of the configuration that it is, if it is one. */
  readonly members: string | undefined;
  readonly by: string;
}

/** What it says of a broken promise begins like this. */
export const BROKEN = 'ledger: ';

export class Ledger {
  readonly #alarm: (error: Error) => void;
  /** Whom a member voted for, by `member/term`. */
  readonly #votes: Map<string, number> = new Map();
  /** By term. */
  readonly #leaders: Map<number, number> = new Map();
  /** By index. */
  readonly #applied: Map<number, AppliedEntry> = new Map();

  constructor(alarm: (error: Error) => void) {
    this.#alarm = alarm;
  }

  /** The newest term that anybody was seen to lead. */
  get newestTerm(): number {
    return Math.max(0, ...this.#leaders.keys());
  }

  /** Of the entry that was applied at this index. */
  termOf(index: number): number | undefined {
    return this.#applied.get(index)?.term;
  }

  /** A message leaves. */
  sent(message: Message): void {
    const { type, from, to, term } = message;
    if (type === 'vote-request' && !message.pre) this.#voted(from, term, from);
    else if (type === 'vote-response' && !message.pre && message.granted) this.#voted(from, term, to);
    else if (type === 'append-request' || type === 'heartbeat-request' || type === 'snapshot-request') this.led(term, from);
  }

  /** A member acts as the leader of a term. */
  led(term: number, member: number): void {
    const other = this.#leaders.get(term);
    if (other === undefined) this.#leaders.set(term, member);
    else if (other !== member) this.#broken('one leader', `members ${other} and ${member} lead term ${term}`);
  }

  /** An entry is about to be applied, perhaps again. */
  applies(by: string, { index, term, data, change }: LogEntry): void {
    const before = this.#applied.get(index);
    const members = JSON.stringify(change);
    if (before === undefined) this.#applied.set(index, { term, data: Buffer.from(data), members, by });
    else if (before.term !== term || before.members !== members || !before.data.equals(data)) {
      const other = before.term === term ? 'with other data' : `of term ${before.term}`;
      this.#broken('one history', `${by} applies entry ${index} of term ${term}, ${before.by} has applied one ${other}`);
    }
  }

  #voted(member: number, term: number, candidate: number): void {
    const key = `${member}/${term}`;
    const before = this.#votes.get(key);
    if (before === undefined) this.#votes.set(key, candidate);
    else if (before !== candidate) this.#broken('one vote', `member ${member} votes for ${before} and for ${candidate} in term ${term}`);
  }

  #broken(promise: Rule, what: string): void {
    this.#alarm(new Error(`${BROKEN}${promise}: ${what}`));
  }
}

/** What an entry has come to. */
export type Applied = (machine: StateMachine, entry: LogEntry, result: ApplyResult) => void;

/** Engines whose entries are told of: which ledger, and whose they are. */
const watched = new WeakMap<Engine, { readonly ledger: Ledger; readonly by: string; readonly applied: Applied | undefined }>();

/** From now on the ledger is told of what state machines apply to this engine, and `applied` of what came of it. */
export function watchApplied(engine: Engine, ledger: Ledger, by: string, applied?: Applied): void {
  watched.set(engine, { ledger, by, applied });
}

// State machines are made within replicas, one after another as snapshots come; nothing else is asked of production code than that they apply.
const { apply } = StateMachine.prototype;
StateMachine.prototype.apply = function (this: StateMachine, entry: LogEntry) {
  const watch = watched.get(this.engine);
  watch?.ledger.applies(watch.by, entry);
  const { applied } = watch ?? {};
  const result = apply.call(this, entry);
  const told = (done: ApplyResult): ApplyResult => {
    applied?.(this, entry, done);
    return done;
  };
  return result instanceof Promise ? result.then(told) : told(result);
};
