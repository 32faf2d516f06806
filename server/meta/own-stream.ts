/**
 * A node's stream to the metaserver that it leads itself: within the process. Messages come in later turns, as over a network.
 *
 * Used by whoever builds a node (server/cluster-part.ts).
 */
import type { Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { LeaderStream, LeaderStreamListener, NodeStreamListener } from './attending.ts';
import type { Metaserver } from './metaserver.ts';

/** `metaserver`: undefined, this node has no part in it. */
export function attendOwn(metaserver: Metaserver | undefined, scheduler: Scheduler, listener: LeaderStreamListener): LeaderStream {
  let over = false;
  let theirs: NodeStreamListener | undefined;
  const end = (why?: unknown): void => {
    if (over) return;
    over = true;
    theirs?.ended();
    scheduler.soon(() => listener.ended(why instanceof Error ? why : undefined, undefined));
  };
  try {
    if (metaserver === undefined) throw new SparrowError('unavailable', 'NO_LEADER', 'this node has no part in the metaserver');
    theirs = metaserver.attend({ send: (message) => scheduler.soon(() => (over ? undefined : listener.receive(message))), end });
  } catch (error) {
    end(error);
  }
  return {
    send: (message) => scheduler.soon(() => (over ? undefined : theirs?.receive(message))),
    end: () => {
      if (!over) theirs?.ended();
      over = true;
    },
  };
}
