/**
 * Messages that travel one by one, as a protocol core may be given them: any may be lost, come twice, overtake others, or come late. Values
 * are handed over as they are; who sends one must not change it.
 */
import type { SimLinks } from './sim-links.ts';
import type { TraceHash } from './trace-hash.ts';

export interface DatagramOptions<T> {
  /** What goes into the trace. */
  readonly describe: (message: T) => string;
  readonly bytes?: (message: T) => number;
}

export class SimDatagrams<T> {
  readonly #links: SimLinks;
  readonly #trace: TraceHash;
  readonly #options: DatagramOptions<T>;
  readonly #receivers = new Map<string, (from: string, message: T) => void>();
  /** What was lost, doubled, overtaken, delivered. */
  readonly counts: { delivered: number; dropped: number; duplicated: number; reordered: number } = {
    delivered: 0,
    dropped: 0,
    duplicated: 0,
    reordered: 0,
  };
  /** When the last one in a direction arrives. */
  readonly #lastMs = new Map<string, number>();

  constructor(links: SimLinks, trace: TraceHash, options: DatagramOptions<T>) {
    this.#links = links;
    this.#trace = trace;
    this.#options = options;
  }

  /** `undefined`: nobody listens there any more. */
  listen(address: string, receive: ((from: string, message: T) => void) | undefined): void {
    if (receive) this.#receivers.set(address, receive);
    else this.#receivers.delete(address);
  }

  send(from: string, to: string, message: T): void {
    const { random, settings } = this.#links;
    const copies = random.chance(settings.duplicateChance) ? 2 : 1;
    if (copies === 2) this.counts.duplicated++;
    for (let copy = 0; copy < copies; copy++) {
      if (random.chance(settings.dropChance)) this.counts.dropped++;
      else this.#deliver(from, to, message);
    }
  }

  #deliver(from: string, to: string, message: T): void {
    const { random, settings, scheduler } = this.#links;
    const key = `${from}>${to}`;
    const lastMs = this.#lastMs.get(key) ?? 0;
    let atMs = scheduler.nowMs + this.#links.delayMs(from, to, this.#options.bytes?.(message) ?? 0);
    if (atMs < lastMs) {
      if (random.chance(settings.reorderChance)) this.counts.reordered++;
      else atMs = lastMs;
    }
    this.#lastMs.set(key, Math.max(atMs, lastMs));
    scheduler.at(atMs, () => {
      const receive = this.#receivers.get(to);
      if (!receive || !this.#links.isOpen(from, to)) {
        this.counts.dropped++;
        return;
      }
      this.counts.delivered++;
      this.#trace.fold(`datagram ${key} ${scheduler.nowMs} ${this.#options.describe(message)}`);
      receive(from, message);
    });
  }
}
