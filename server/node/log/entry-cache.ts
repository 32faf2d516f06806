/**
 * The entries that were appended last, of all groups together, within a bound of bytes: followers that lag a little are served without the
 * disk. First in, first out. Used by node-log.ts.
 */
import type { LogEntry } from '../../raft/index.ts';

interface Cached {
  group: number;
  entry: LogEntry;
  /** False once it was replaced or compacted away. */
  held: boolean;
}

/** What an entry costs beside its data, about. */
const ENTRY_BYTES = 160;

export class EntryCache {
  readonly #bytesMax: number;
  readonly #groups: Map<number, Map<number, Cached>> = new Map();
  /** Oldest first, from #head on. */
  #queue: Cached[] = [];
  #head = 0;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(group: number, index: number): LogEntry | undefined {
    return this.#groups.get(group)?.get(index)?.entry;
  }

  put(group: number, entry: LogEntry): void {
    if (costOf(entry) > this.#bytesMax) return;
    let entries = this.#groups.get(group);
    if (entries === undefined) this.#groups.set(group, (entries = new Map()));
    this.#drop(entries.get(entry.index));
    const cached = { group, entry, held: true };
    entries.set(entry.index, cached);
    this.#queue.push(cached);
    this.#bytes += costOf(entry);
    while (this.#bytes > this.#bytesMax) this.#drop(this.#queue[this.#head++]);
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Drops what a group has from `from` to `to`. */
  drop(group: number, from: number, to: number): void {
    const entries = this.#groups.get(group);
    if (entries === undefined) return;
    if (to - from < entries.size) for (let index = from; index <= to; index++) this.#drop(entries.get(index));
    else for (const cached of [...entries.values()]) if (cached.entry.index >= from && cached.entry.index <= to) this.#drop(cached);
  }

  #drop(cached: Cached | undefined): void {
    if (cached?.held !== true) return;
    cached.held = false;
    this.#bytes -= costOf(cached.entry);
    const entries = this.#groups.get(cached.group)!;
    entries.delete(cached.entry.index);
    if (entries.size === 0) this.#groups.delete(cached.group);
    // The queue lets go of the data at once, of the rest when its turn comes.
    cached.entry = { ...cached.entry, data: NO_BYTES };
  }
}

const NO_BYTES = new Uint8Array(0);

function costOf({ data }: LogEntry): number {
  return data.length + ENTRY_BYTES;
}
