/**
 * Streams between nodes and the leader of the metaserver over simulated connections, with the bytes of Meta.Attend. Every frame begins with a byte that no frame
 * of sim-transport.ts begins with, so that a node can tell by the first one what a connection is for.
 *
 *   | 16 | AttendRequest or AttendResponse |        | 17 | JSON: why the leader's end ends the stream |
 */
import { SparrowError } from '../../../base/errors.ts';
import { AttendRequest, AttendResponse } from '../../../proto/index.ts';
import { attendRequest, attendResponse, fromNode, type MetaCalls, toNode } from '../../../server/gateway/index.ts';
import type { LeaderStream, LeaderStreamListener, NodeStream, NodeStreamListener } from '../../../server/meta/attending.ts';
import type { ConnectionEvents, SimConnection, SimEndpoint } from '../sim-network.ts';

const MESSAGE = 16;
const REFUSAL = 17;

/** How many messages nodes have sent to leaders. */
export interface AttendCounts {
  reports: number;
}

interface Refusal {
  readonly kind: SparrowError['kind'];
  readonly code: string;
  readonly leader: string | undefined;
}

/** A connection of another node: a stream of attendance, or what `other` takes. */
export function acceptAttending(
  connection: SimConnection,
  calls: () => MetaCalls | undefined,
  other: () => ConnectionEvents,
): ConnectionEvents {
  let events: ConnectionEvents | undefined;
  return {
    frame: (bytes) => {
      events ??= bytes[0] === MESSAGE ? leaderEnd(connection, calls()) : other();
      events.frame(bytes);
    },
    closed: (why) => events?.closed(why),
  };
}

/** As server/gateway/meta-service.ts. */
function leaderEnd(connection: SimConnection, calls: MetaCalls | undefined): ConnectionEvents {
  let over = false;
  let listener: NodeStreamListener | undefined;
  const end = (why?: unknown): void => {
    if (over) return;
    over = true;
    if (why !== undefined) connection.send(tagged(REFUSAL, Buffer.from(JSON.stringify(refusalOf(calls?.routed(why) ?? why)))));
    connection.close();
    listener?.ended();
  };
  const stream: NodeStream = {
    send: (message) => {
      if (!over) connection.send(tagged(MESSAGE, AttendResponse.encode(attendResponse(message)).finish()));
    },
    end,
  };
  try {
    if (calls === undefined) throw new SparrowError('unavailable', 'STARTING', 'the node is starting');
    listener = calls.lead().attend(stream);
  } catch (error) {
    end(error);
  }
  return {
    frame: (bytes) => {
      if (over) return;
      try {
        listener?.receive(fromNode(AttendRequest.decode(Buffer.from(bytes).subarray(1))));
      } catch (error) {
        end(error);
      }
    },
    closed: () => {
      if (over) return;
      over = true;
      listener?.ended();
    },
  };
}

/** The node's end, as server/leader-link.ts. */
export function connectToLeader(endpoint: SimEndpoint, whom: string, counts: AttendCounts, listener: LeaderStreamListener): LeaderStream {
  let over = false;
  const end = (why: Error | undefined, leader: string | undefined): void => {
    if (over) return;
    over = true;
    connection.close();
    listener.ended(why, leader);
  };
  const connection = endpoint.connect(whom, {
    frame: (bytes) => {
      if (over) return;
      const frame = Buffer.from(bytes);
      if (frame[0] === REFUSAL) {
        const { kind, code, leader } = JSON.parse(frame.subarray(1).toString()) as Refusal;
        return end(new SparrowError(kind, code, code), leader);
      }
      const message = toNode(AttendResponse.decode(frame.subarray(1)));
      if (message !== undefined) listener.receive(message);
    },
    closed: (why) => end(new SparrowError('unavailable', 'CONNECTION_LOST', why), undefined),
  });
  return {
    send: (message) => {
      if (over) return;
      if (message.type === 'report') counts.reports++;
      connection.send(tagged(MESSAGE, AttendRequest.encode(attendRequest(message)).finish()));
    },
    end: () => {
      over = true;
      connection.close();
    },
  };
}

function refusalOf(error: unknown): Refusal {
  if (!(error instanceof SparrowError)) throw error;
  const { kind, code, details } = error;
  return { kind, code, leader: code === 'NOT_LEADER' ? (details['leaderAddress'] as string | undefined) : undefined };
}

function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(tag), bytes]);
}
