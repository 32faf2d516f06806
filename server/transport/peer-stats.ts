/** What is counted of the way to one other node, since it was added. */
export interface PeerStats {
  readonly peer: number;
  readonly address: string;
  /** Whether messages to it would leave. */
  readonly reachable: boolean;
  /** Of the process that messages to it would reach, as it said in its greeting; another one: it was started again. */
  readonly incarnation: bigint | undefined;
  /** Whether messages from it would arrive. */
  readonly heard: boolean;
  readonly queuedMessages: number;
  /** About. */
  readonly queuedBytes: number;
  readonly sent: Traffic;
  readonly received: Traffic;
  /** Messages that were not sent: nobody there; no room, entries and others; too large for any packet; under way when the stream broke. */
  readonly dropped: Readonly<Record<Drop, number>>;
  /** Streams to it that were opened, from the second on. */
  readonly reconnects: number;
  /** Why the last attempt to open a stream failed, or the last stream broke; undefined while one is open. */
  readonly lastError: string | undefined;
  readonly snapshotBytesSent: number;
  readonly snapshotBytesReceived: number;
}

export interface Traffic {
  readonly bytes: number;
  readonly messages: number;
  readonly packets: number;
}

export type Drop = 'unreachable' | 'entries' | 'others' | 'too-large' | 'broken';

/** The same, counting. */
export class PeerCounters {
  readonly sent: { bytes: number; messages: number; packets: number } = { bytes: 0, messages: 0, packets: 0 };
  readonly received: { bytes: number; messages: number; packets: number } = { bytes: 0, messages: 0, packets: 0 };
  readonly dropped: Record<Drop, number> = { unreachable: 0, entries: 0, others: 0, 'too-large': 0, broken: 0 };
  connects = 0;
  lastError: string | undefined;
  snapshotBytesSent = 0;
  snapshotBytesReceived = 0;
}
