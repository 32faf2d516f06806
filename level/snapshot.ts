/** Explicit snapshots. Level counts who reads from one and closes it when the last is done; the point in time is the engine's. */
import { AbstractSnapshot } from 'abstract-level';
import { type Snapshot, SparrowError } from '../engine/index.ts';

/** What Level hands down: the database, or the sublevel, that closes the snapshot when it is closed itself. */
export interface SnapshotOptions {
  readonly owner: object;
}

/** As it is; its declared type leaves the constructor's parameter out. */
const OwnedSnapshot: new (options: SnapshotOptions) => AbstractSnapshot = AbstractSnapshot as new (
  options?: SnapshotOptions,
) => AbstractSnapshot;

export class SparrowSnapshot extends OwnedSnapshot {
  readonly #point: Snapshot;

  constructor(point: Snapshot, options: SnapshotOptions) {
    super(options);
    this.#point = point;
  }

  /** The engine's snapshot behind a `snapshot` option; `invalid/SNAPSHOT_FOREIGN` when another kind of database made it. */
  static pointOf(snapshot: AbstractSnapshot): Snapshot {
    if (!(snapshot instanceof SparrowSnapshot)) {
      throw new SparrowError('invalid', 'SNAPSHOT_FOREIGN', 'snapshot belongs to another database', { field: 'snapshot' });
    }
    return snapshot.#point;
  }

  /** Called by Level when nobody reads from it any more. */
  _close(): Promise<void> {
    this.#point.release();
    return Promise.resolve();
  }
}
