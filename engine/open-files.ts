/**
 * Bounds how many files all engines of one process have open for reading tables and large values: beyond it the one used least recently is
 * closed, and opened again when it is used next.
 *
 * A log segment that is written, or not synced yet, is held: it stays open, because only its descriptor tells of failed writes. When those alone
 * are too many, logs are asked to sync and let go once they have not been written to for a while.
 */
import type { File } from '../base/env.ts';

/** What reading needs of a file. */
export type ReadableFile = Pick<File, 'readSync' | 'sizeSync' | 'closeSync'>;

/** Somebody who holds files and is asked to let go of them, as soon as they are not in use. Asked often, and answers nothing. */
export type FileHolder = () => void;

export class OpenFiles {
  readonly max: number;
  /** Least recently used first. */
  readonly #open = new Set<PooledFile>();
  readonly #holders = new Set<FileHolder>();
  #held = 0;

  constructor(max: number) {
    this.max = max;
  }

  get count(): number {
    return this.#open.size + this.#held;
  }

  get isOver(): boolean {
    return this.count > this.max;
  }

  /** A file that is opened by `open` when it is used. */
  add<F extends ReadableFile>(open: () => F): PooledFile<F> {
    return new PooledFile(this, open);
  }

  addHolder(holder: FileHolder): void {
    this.#holders.add(holder);
  }
  removeHolder(holder: FileHolder): void {
    this.#holders.delete(holder);
  }

  /** One more file is held, or one less. */
  hold(): void {
    this.#held++;
    this.#makeRoom();
  }
  letGo(): void {
    this.#held--;
  }

  // ---- for its files ----

  used(file: PooledFile): void {
    this.#open.delete(file);
    this.#open.add(file);
    this.#makeRoom();
  }

  closed(file: PooledFile): void {
    this.#open.delete(file);
  }

  #makeRoom(): void {
    while (this.isOver) {
      const [oldest] = this.#open;
      // The last one is in use now.
      if (oldest === undefined || this.#open.size === 1) {
        this.#askHolders();
        return;
      }
      oldest.close();
    }
  }

  #askHolders(): void {
    for (const ask of this.#holders) ask();
  }
}

/** A file that may be closed at any time between uses. */
export class PooledFile<F extends ReadableFile = ReadableFile> {
  readonly #pool: OpenFiles;
  readonly #reopen: () => F;
  #file: F | undefined;

  constructor(pool: OpenFiles, open: () => F) {
    this.#pool = pool;
    this.#reopen = open;
  }

  /** The open file, for synchronous use until another pooled file is used. */
  use(): F {
    this.#file ??= this.#reopen();
    this.#pool.used(this);
    return this.#file;
  }

  close(): void {
    this.#pool.closed(this);
    this.#file?.closeSync();
    this.#file = undefined;
  }
}
