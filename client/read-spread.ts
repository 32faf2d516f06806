/**
 * Takes the nodes in turn for reads that any of them may serve. Those without a connection are connected to beside, and get their share when
 * that has succeeded; those that are silent are left out.
 *
 * Used by connector.ts.
 */
import type { ClusterLinks } from './cluster-links.ts';
import type { Connection } from './connection.ts';
import { SILENT_LOOKS } from './silence-watch.ts';
import type { Surroundings } from './surroundings.ts';

/** Nodes that cannot be reached are tried no more often. */
const CONNECT_MS = 1_000;

export class ReadSpread {
  readonly #links: ClusterLinks;
  readonly #surroundings: Surroundings;
  #turn = 0;
  #connectedMs = -Infinity;

  constructor(links: ClusterLinks, surroundings: Surroundings) {
    this.#links = links;
    this.#surroundings = surroundings;
  }

  /** Whose turn it is; undefined when there is no connection at all. */
  next(): Connection | undefined {
    const links = this.#links.all();
    if (links.some(({ ready }) => !ready)) this.#connect();
    for (let i = 0; i < links.length; i++) {
      const link = links[this.#turn++ % links.length]!;
      if (link.ready && link.silentLooks < SILENT_LOOKS) return link.connection;
    }
    return undefined;
  }

  #connect(): void {
    const nowMs = this.#surroundings.clock.monotonicMs();
    if (nowMs - this.#connectedMs < CONNECT_MS) return;
    this.#connectedMs = nowMs;
    for (const link of this.#links.all()) if (!link.ready) this.#links.ask(link).catch(() => undefined);
  }
}
