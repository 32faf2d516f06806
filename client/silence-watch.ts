/**
 * Finds nodes that say nothing while somebody waits for them: a process that was stopped breaks no connection.
 *
 * Looks are counted, not milliseconds: when this process itself was held up, one look comes late and counts once. A silent node is pinged
 * from the first look on; SILENT_LOOKS without a word, about a second, make it suspect. Suspicion alone breaks nothing (connector.ts):
 * a node that is only slow still leads.
 */
import type { NodeLink } from './node-link.ts';
import type { Nodes } from './nodes.ts';
import { fraction, type Surroundings } from './surroundings.ts';

const LOOK_MS = 150;
export const SILENT_LOOKS = 5;

export class SilenceWatch {
  readonly #nodes: Nodes;
  readonly #surroundings: Surroundings;
  readonly #silent: (link: NodeLink) => void;
  #on = false;

  /** `silent` is told at each look, from the one on that makes a node suspect. */
  constructor(nodes: Nodes, surroundings: Surroundings, silent: (link: NodeLink) => void) {
    this.#nodes = nodes;
    this.#surroundings = surroundings;
    this.#silent = silent;
  }

  get on(): boolean {
    return this.#on;
  }

  /** Looks as long as anybody waits. With one node there is nobody else to turn to, and nothing to watch. */
  begin(): void {
    if (this.#on || this.#nodes.count < 2) return;
    this.#on = true;
    this.#schedule();
  }

  #schedule(): void {
    const pause = LOOK_MS * (0.9 + fraction(this.#surroundings.random) * 0.2);
    this.#surroundings.scheduler.after(pause, () => this.#look(), true);
  }

  #look(): void {
    let awaited = false;
    for (const link of this.#nodes.all()) {
      const { connection } = link;
      if (connection === undefined || !link.ready) continue;
      if (connection.awaited === 0 || connection.heard !== link.heard) {
        awaited ||= connection.awaited > 0;
        link.heard = connection.heard;
        link.silentLooks = 0;
        continue;
      }
      awaited = true;
      link.silentLooks++;
      this.#nodes.ping(link, 0).catch(() => undefined);
      if (link.silentLooks >= SILENT_LOOKS) this.#silent(link);
    }
    this.#on = awaited;
    if (awaited) this.#schedule();
  }
}
