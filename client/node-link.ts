/** One node, by its address: the connection to it while there is one. Kept by nodes.ts. */
import type { Leadership } from '../proto/index.ts';
import type { Connection, Standing } from './connection.ts';

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
  /** Empty: not known. */
  zone = '';
  /** The metaserver's map names it. */
  mapped = false;
  opening: Promise<Standing | undefined> | undefined;
  /** Pings under way, by the shard that is asked for. */
  readonly pings: Map<number, Promise<Leadership | undefined>> = new Map();
  /** For the watch (silence-watch.ts): what was heard at its last look, and looks since then without a word. */
  heard = 0;
  silentLooks = 0;

  constructor(address: string, given: boolean) {
    this.address = address;
    this.given = given;
  }
}
