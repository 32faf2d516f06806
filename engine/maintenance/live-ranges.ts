/** The range tombstones that reads see: those of the version and those of the memtables that wait to be flushed. */
import type { RangeTombstone } from '../manifest/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { RangeTombstones } from '../range-tombstones.ts';
import type { Snapshots } from '../snapshots.ts';
import type { View } from '../view.ts';

export class LiveRanges {
  readonly #view: View;
  readonly #snapshots: Snapshots;
  readonly #ranges: RangeTombstones;
  readonly #onAdd: () => void;

  constructor(memory: LinearMemory, view: View, snapshots: Snapshots, onAdd: () => void) {
    this.#onAdd = onAdd;
    this.#view = view;
    this.#snapshots = snapshots;
    this.#ranges = new RangeTombstones(memory);
  }

  get fragments(): number {
    return this.#ranges.fragments;
  }

  /** The last stretch of keys under tombstones that begins at or below the key. */
  before(key: Uint8Array): Pick<RangeTombstone, 'start' | 'end'> | undefined {
    return this.#ranges.before(key);
  }

  /** A newer one than all before. */
  add(tombstone: RangeTombstone): void {
    this.#ranges.add(tombstone, this.#snapshots.sequences);
    this.#show();
    this.#onAdd();
  }

  /** Some have gone: these are left. */
  reset(tombstones: readonly RangeTombstone[]): void {
    this.#ranges.reset(tombstones, this.#snapshots.sequences);
    this.#show();
  }

  free(): void {
    this.#ranges.free();
    this.#show();
  }

  #show(): void {
    this.#view.setRanges(this.#ranges.address);
  }
}
