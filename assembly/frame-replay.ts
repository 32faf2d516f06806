/**
 * Recovery's quick way: takes frame after frame into a memtable in one call, for as long as there is nothing about a frame that the host has to look
 * at. What cannot be taken so it does not touch: the host takes that one frame by itself (engine/log/log-reader.ts) and calls again.
 */
import { FRAME_HEADER_BYTES, KIND_RANGE_DELETE, RESULT_VALUE } from './memory-map';
import { checkFrame, recordKinds } from './frame';
import { hasNodesFor, memtableInsert } from './memtable';

/**
 * Frames lie one behind another from `from` on, `bytes` in all, the last one maybe not whole, in the arena of the memtable: at its record top or behind
 * it. Each goes to the record top, and its records over `skipTo` into the tree; one that has no others leaves no trace. It stops in front of the first
 * frame that is not sound, has a payload or a range delete (of which the host keeps copies), or for which there is not enough room for nodes.
 * Returns how many bytes are done; cell RESULT_VALUE, u32: up to where the segment was synced by what they say.
 */
export function memtableReplay(context: usize, memtable: usize, from: usize, bytes: u32, segment: u32, skipTo: f64): u32 {
  const end = from + bytes;
  let at = from;
  let synced: u32 = 0;
  while (end - at >= <usize>FRAME_HEADER_BYTES) {
    const recordBytes = load<u32>(at, 8);
    const payloadBytes = load<u32>(at, 12);
    // Nothing of it is proven yet; all that follows from it is that the host is asked.
    if (payloadBytes || !hasNodesFor(memtable, load<u32>(at, 20) & 0xffffff)) break;
    if (checkFrame(at, <u32>(end - at), segment) != 1) break;
    const kinds = recordKinds(at);
    if (!kinds || kinds & (1 << KIND_RANGE_DELETE)) break;
    const size = <usize>FRAME_HEADER_BYTES + <usize>recordBytes;
    const top = <usize>load<u32>(memtable, 4);
    if (top > at || at + size > <usize>load<u32>(memtable, 8)) break;
    const syncedTo = load<u32>(at, 16);
    if (top < at) memory.copy(top, at, size);
    const before = load<u32>(memtable, 24);
    memtableInsert(memtable, top + FRAME_HEADER_BYTES, recordBytes, -1, skipTo);
    if (load<u32>(memtable, 24) != before) store<u32>(memtable, <u32>(top + size), 4);
    if (syncedTo > synced) synced = syncedTo;
    at += size;
  }
  store<u32>(context, synced, RESULT_VALUE);
  return <u32>(at - from);
}
