/**
 * Merges what is left of tables that overlap into one sorted run, the newest version of each key alone: nobody reads at an older moment of a
 * store that is being repaired. Of two entries with one key and one sequence number (a table and the one that was made of it) the one whose
 * value is there stays.
 */
import type { SalvagedEntry } from './salvage-table.ts';

interface Source {
  entry: SalvagedEntry;
  readonly rest: Iterator<SalvagedEntry, void, void>;
}

export function* mergeNewest(inputs: readonly Iterator<SalvagedEntry, void, void>[]): Generator<SalvagedEntry, void, void> {
  const heap: Source[] = [];
  for (const rest of inputs) {
    const first = rest.next();
    if (!first.done) push(heap, { entry: first.value, rest });
  }
  let last: Uint8Array | undefined;
  while (heap.length > 0) {
    const source = heap[0]!;
    const { entry } = source;
    if (last === undefined || Buffer.compare(last, entry.key) !== 0) {
      last = entry.key;
      yield entry;
    }
    const next = source.rest.next();
    if (next.done) {
      const moved = heap.pop()!;
      if (heap.length > 0) sink(heap, moved);
    } else {
      source.entry = next.value;
      sink(heap, source);
    }
  }
}

/** By key, newest first, and what has its value before what has lost it. */
function precedes(a: Source, b: Source): boolean {
  const order =
    Buffer.compare(a.entry.key, b.entry.key) || b.entry.sequence - a.entry.sequence || Number(a.entry.lost) - Number(b.entry.lost);
  return order < 0;
}

function push(heap: Source[], source: Source): void {
  let at = heap.length;
  heap.push(source);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!precedes(source, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = source;
}

/** Puts `source` in the place of the first and lets it sink. */
function sink(heap: Source[], source: Source): void {
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && precedes(heap[child + 1]!, heap[child]!)) child++;
    if (!precedes(heap[child]!, source)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = source;
}
