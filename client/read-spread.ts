/**
 * Takes the nodes in turn for reads that any of them may serve. Those without a connection are connected to beside, and get their share when
 * that has succeeded; those that are silent are left out. A read for the nearest node goes to those in the client's zone in turn, and to others while none of
 * those can be reached.
 *
 * Used by connector.ts.
 */
import type { Connection } from './connection.ts';
import type { GroupLinks } from './group-links.ts';
import type { NodeLink } from './node-link.ts';
import { SILENT_LOOKS } from './silence-watch.ts';
import type { Surroundings } from './surroundings.ts';

/** Nodes that cannot be reached are tried no more often. */
const CONNECT_MS = 1_000;

export class ReadSpread {
  readonly #links: GroupLinks;
  readonly #surroundings: Surroundings;
  readonly #zone: string;
  #turn = 0;
  #connectedMs = -Infinity;

  /** `zone`: the client's own; empty: it has none. */
  constructor(links: GroupLinks, surroundings: Surroundings, zone: string) {
    this.#links = links;
    this.#surroundings = surroundings;
    this.#zone = zone;
  }

  /** Whose turn it is; undefined when there is no connection at all. `avoid`: the address of a node that is taken only if there is no other. */
  next(nearest: boolean, avoid: string | undefined): Connection | undefined {
    const links = this.#links.all();
    if (links.some(({ ready }) => !ready)) this.#connect();
    const near = nearest && this.#zone !== '' ? this.#take(links, (link) => link.zone === this.#zone && link.address !== avoid) : undefined;
    if (near !== undefined) return near;
    if (avoid !== undefined) {
      const other = this.#take(links, (link) => link.address !== avoid);
      if (other !== undefined) return other;
    }
    return this.#take(links, () => true);
  }

  #take(links: readonly NodeLink[], fits: (link: NodeLink) => boolean): Connection | undefined {
    for (let i = 0; i < links.length; i++) {
      const link = links[this.#turn++ % links.length]!;
      if (link.ready && link.silentLooks < SILENT_LOOKS && fits(link)) return link.connection;
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
