/**
 * Whom a node heeds: once a leader of the metaserver has welcomed it, it reports to none of an older term, and so gets no orders of it (server/meta/attending.ts). Looked at between the node's attendance and
 * its streams.
 */
import type { LeaderStream, LeaderStreamListener } from '../../../server/meta/attending.ts';
import { BROKEN } from '../ledger.ts';

export class HeedWatch {
  readonly #node: string;
  readonly #alarm: (error: Error) => void;
  /** The newest term that it was welcomed in. */
  #newest = 0;

  /** Of one life of a node. */
  constructor(node: string, alarm: (error: Error) => void) {
    this.#node = node;
    this.#alarm = alarm;
  }

  /** The stream that `connect` makes with a listener, told of both ways. */
  watched(listener: LeaderStreamListener, connect: (listener: LeaderStreamListener) => LeaderStream): LeaderStream {
    let term: number | undefined;
    const stream = connect({
      receive: (message) => {
        if (message.type === 'welcome') {
          ({ term } = message);
          this.#newest = Math.max(this.#newest, term);
        }
        listener.receive(message);
      },
      ended: (why, leader) => listener.ended(why, leader),
    });
    return {
      send: (message) => {
        if (message.type === 'report' && term !== undefined && term < this.#newest) this.#broken(term);
        stream.send(message);
      },
      end: () => stream.end(),
    };
  }

  #broken(term: number): void {
    this.#alarm(
      new Error(
        `${BROKEN}the newest leader: ${this.#node} reports to the leader of term ${term}, and was welcomed in term ${this.#newest}`,
      ),
    );
  }
}
