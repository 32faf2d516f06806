/** Who leads a group, as its replica knows it, and how often that was this member. Whoever listens is told of each change. Used by replica-lead.ts. */
import type { Role } from '../raft/index.ts';

export class LeadRecord {
  /** The term that this member leads, 0: none. */
  #term = 0;
  #begun = 0;
  #lost = 0;
  /** Who was known to lead, and in which term. */
  #leader = 0;
  #leaderTerm = 0;
  readonly #listeners: Set<() => void> = new Set();

  /** The term that this member leads, 0: none. */
  get term(): number {
    return this.#term;
  }

  /** How often this member came to lead. */
  get begun(): number {
    return this.#begun;
  }

  get lost(): number {
    return this.#lost;
  }

  /** Returns what takes the listener off again. */
  onLeader(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** As the core has it now. Returns whether this member gained the lead, or lost it. */
  note({ leader, role, term }: { readonly leader: number; readonly role: Role; readonly term: number }): boolean {
    if (leader !== this.#leader || (leader !== 0 && term !== this.#leaderTerm)) this.#tell(leader, term);
    const leads = role === 'leader' ? term : 0;
    if (leads === this.#term) return false;
    if (this.#term !== 0) this.#lost++;
    if (leads !== 0) this.#begun++;
    this.#term = leads;
    return true;
  }

  #tell(leader: number, term: number): void {
    this.#leader = leader;
    this.#leaderTerm = term;
    for (const listener of [...this.#listeners]) listener();
  }
}
