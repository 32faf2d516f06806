/**
 * Gets a snapshot from another member, before a replica opens: its engine is damaged, or its log beyond what others can give back (mending.ts).
 *
 * Any member will do: what it has applied is committed.
 *
 * Used by replica-store.ts. Answered by lending.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { SnapshotHead, SnapshotSink, SnapshotWanted } from '../transport/index.ts';
import type { SnapshotBegin } from './group-directory.ts';
import { Mending, type MendingParts } from './mending.ts';

/** Where a snapshot may go; `arrived` is called when it is whole and durable. */
export type Receive = (head: SnapshotHead, arrived: () => void) => Promise<SnapshotSink>;

export class SnapshotMending extends Mending<SnapshotBegin> {
  readonly #least: number;
  readonly #receive: Receive;

  /** `run` settles when a snapshot of entry `least` at least has arrived, and says of which. */
  constructor(parts: MendingParts, least: number, receive: Receive) {
    super(parts);
    this.#least = least;
    this.#receive = receive;
  }

  async accept(_from: number, head: SnapshotHead): Promise<SnapshotSink> {
    const { index, term } = head.snapshot;
    if (index < this.#least) throw tooOld(index, this.#least);
    this.heard();
    // Nobody else is asked as long as something comes.
    return heardBy(await this.#receive(head, () => this.done({ index, term })), () => this.heard());
  }

  protected question(to: number): SnapshotWanted {
    return { type: 'snapshot-wanted', from: this.id, to, term: 0, index: this.#least };
  }
}

/** A sink that tells of whatever is written to it. */
export function heardBy(sink: SnapshotSink, heard: () => void): SnapshotSink {
  return {
    get position() {
      return sink.position;
    },
    write: (bytes) => {
      heard();
      sink.write(bytes);
    },
    endFile: (check) => sink.endFile(check),
    finish: () => sink.finish(),
    close: () => sink.close(),
  };
}

export function tooOld(index: number, least: number): SparrowError {
  return new SparrowError('conflict', 'SNAPSHOT_NOT_NEEDED', `a snapshot of entry ${index} does not do: ${least} is wanted at least`);
}
