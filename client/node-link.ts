/** One node, by its address: the connection to it while there is one, and what it told. Kept by cluster-links.ts. */
import type { Leadership } from '../proto/index.ts';
import type { Connection } from './connection.ts';

export class NodeLink {
  readonly address: string;
  /** Named by the user; others were learned from nodes. */
  readonly given: boolean;
  /** Open, or being opened. */
  connection: Connection | undefined;
  /** Calls can be sent. */
  ready = false;
  /** 0: not known. */
  nodeId = 0;
  /** What it last said of who leads; undefined: it is none of those that say. */
  told: Leadership | undefined;
  /** The question under way: opening the connection, or a ping. */
  asking: Promise<void> | undefined;
  /** For the watch (silence-watch.ts): what was heard at its last look, and looks since then without a word. */
  heard = 0;
  silentLooks = 0;

  constructor(address: string, given: boolean) {
    this.address = address;
    this.given = given;
  }

  /** By its own word. */
  get leads(): boolean {
    return this.ready && this.told !== undefined && this.nodeId !== 0 && this.told.leaderId === this.nodeId;
  }
}
