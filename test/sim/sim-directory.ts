/**
 * The entries of one directory twice: as programs see them and as the disk has them. Creating, renaming, linking and removing are
 * pending until the directory is synced; each is atomic by itself, and a crash may keep any of them and lose others.
 */
import type { CrashMode, SimFile } from './sim-file.ts';
import type { SimRandom } from './sim-random.ts';

interface Change {
  readonly removed?: string;
  readonly added?: { readonly name: string; readonly file: SimFile };
}

export class SimDirectory {
  #cached = new Map<string, SimFile>();
  #durable = new Map<string, SimFile>();
  #changes: Change[] = [];

  get(name: string): SimFile | undefined {
    return this.#cached.get(name);
  }

  names(): string[] {
    return [...this.#cached.keys()].sort();
  }

  /** How many entries are of this file. */
  namesOf(file: SimFile): number {
    return [...this.#cached.values()].filter((other) => other === file).length;
  }

  files(): Iterable<SimFile> {
    return new Set(this.#cached.values());
  }

  add(name: string, file: SimFile): void {
    this.#change({ added: { name, file } });
  }

  remove(name: string): void {
    this.#change({ removed: name });
  }

  rename(from: string, to: string): void {
    const file = this.#cached.get(from)!;
    // As rename(2) says: two names of one file stay as they are.
    if (this.#cached.get(to) !== file) this.#change({ removed: from, added: { name: to, file } });
  }

  sync(): void {
    this.#durable = new Map(this.#cached);
    this.#changes = [];
  }

  crash(mode: CrashMode, random: SimRandom): void {
    if (mode === 'all' || mode === 'contents-lost') this.sync();
    else if (mode === 'random' || mode === 'torn') {
      // A journal keeps a beginning of the changes; the letter of POSIX allows any of them.
      const journal = random.chance(0.3);
      const kept = journal
        ? this.#changes.slice(0, random.below(this.#changes.length + 1))
        : this.#changes.filter(() => random.chance(0.5));
      for (const change of kept) apply(this.#durable, change);
    }
    this.#changes = [];
    this.#cached = new Map(this.#durable);
  }

  #change(change: Change): void {
    this.#changes.push(change);
    apply(this.#cached, change);
  }
}

function apply(entries: Map<string, SimFile>, { removed, added }: Change): void {
  if (removed !== undefined) entries.delete(removed);
  if (added) entries.set(added.name, added.file);
}
