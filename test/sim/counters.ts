/** How often each kind of fault and each rare branch was reached: what a run has not reached, it has not tested. */
export class Counters {
  readonly #counts = new Map<string, number>();

  add(name: string, count = 1): void {
    this.#counts.set(name, this.get(name) + count);
  }

  addAll(other: Counters): void {
    for (const [name, count] of other.#counts) this.add(name, count);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** Throws, naming all that were reached less than `least` times. */
  assertReached(names: readonly string[], least = 1): void {
    const missed = names.filter((name) => this.get(name) < least);
    if (missed.length === 0) return;
    throw new Error(`not reached ${least} times: ${missed.map((name) => `${name} (${this.get(name)})`).join(', ')}; reached: ${this.text}`);
  }

  get all(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  get text(): string {
    return [...this.#counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  }
}
