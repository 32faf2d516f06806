/**
 * Gets a snapshot from another member, before a replica opens: its engine is damaged, or its log beyond what others can give back. Until then this
 * member is as if it were not there.
 *
 * Members are asked one after another. Any will do: what they have applied is committed.
 *
 * Used by replica.ts and replica-store.ts. Answered by lending.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { PeerMessage, SnapshotHead, SnapshotSink } from '../transport/index.ts';
import type { SnapshotBegin } from './group-directory.ts';
import type { MendingParts } from './log-mending.ts';
import type { HostedReplica } from './replica-host.ts';

/** Where a snapshot may go; `arrived` is called when it is whole and durable. */
export type Receive = (head: SnapshotHead, arrived: () => void) => Promise<SnapshotSink>;

export class SnapshotMending implements HostedReplica {
  readonly upkeep: undefined;
  readonly #parts: MendingParts;
  readonly #least: number;
  readonly #receive: Receive;
  readonly #done: (begin: SnapshotBegin) => void;
  #asked = 0;
  #ticks: number;

  /** Settles when a snapshot of entry `least` at least has arrived, and says of which. */
  static async run(parts: MendingParts, least: number, receive: Receive): Promise<SnapshotBegin> {
    let mending: SnapshotMending | undefined;
    try {
      return await new Promise((resolve) => {
        mending = new SnapshotMending(parts, least, receive, resolve);
        parts.host.add(mending);
      });
    } finally {
      if (mending !== undefined) parts.host.remove(mending);
    }
  }

  private constructor(parts: MendingParts, least: number, receive: Receive, done: (begin: SnapshotBegin) => void) {
    this.#parts = parts;
    this.#least = least;
    this.#receive = receive;
    this.#done = done;
    this.#ticks = parts.retryTicks;
  }

  get group(): number {
    return this.#parts.group;
  }

  get asleep(): boolean {
    return false;
  }

  get members(): readonly number[] {
    return [...this.#parts.peers, this.#parts.id];
  }

  tick(): void {
    if (++this.#ticks < this.#parts.retryTicks) return;
    this.#ticks = 0;
    const { group, id, peers, host } = this.#parts;
    const to = peers[this.#asked++ % peers.length]!;
    host.send(group, [{ type: 'snapshot-wanted', from: id, to, term: 0, index: this.#least }]);
  }

  step(_message: PeerMessage): void {
    // What it is asked, it cannot answer.
  }

  async accept(_from: number, head: SnapshotHead): Promise<SnapshotSink> {
    const { index, term } = head.snapshot;
    if (index < this.#least) {
      throw new SparrowError(
        'conflict',
        'SNAPSHOT_NOT_NEEDED',
        `a snapshot of entry ${index} does not do: ${this.#least} is wanted at least`,
      );
    }
    this.#ticks = 0;
    const sink = await this.#receive(head, () => this.#done({ index, term }));
    return {
      get position() {
        return sink.position;
      },
      write: (bytes) => {
        // Nobody else is asked as long as something comes.
        this.#ticks = 0;
        sink.write(bytes);
      },
      endFile: (check) => sink.endFile(check),
      finish: () => sink.finish(),
      close: () => sink.close(),
    };
  }

  turn(): void {
    // Everything happens when it comes.
  }

  wake(): void {
    // Never asleep.
  }
}
