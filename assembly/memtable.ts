/**
 * The memtable: an adaptive radix tree (Leis et al., ICDE 2013) over records that lie in arena chunks, where they are the log's image.
 * Nodes live in chunks of their own (radix-node.ts). One writer (the caller's thread); a sealed memtable is read by the background thread as well.
 *
 *   header, 72 bytes:
 *    0 root u32            a reference (radix-node.ts), 0: empty
 *    4 record top u32      where the next frame goes;  8 record end u32
 *   12 node top u32;      16 node end u32
 *   20 keys u32           distinct keys, those included that a range delete has taken out
 *   24 records u32        records inserted
 *   28 bytes u32          record bytes inserted
 *   32 newest snapshot f64   a record at or below it stays readable when its key is written again (-1: no snapshot)
 *   40 last sequence f64
 *   48 pointers u32       records of KIND_POINTER inserted
 *   52 deletes u32
 *   56 range deletes u32  records of KIND_RANGE_DELETE: counted here, kept by the host (engine/range-tombstones.ts), not in the tree
 *   64 pinned bytes f64   keys, stored and large values of versions that were kept when they were overwritten, since there was no snapshot
 */
import { KIND_DELETE, KIND_POINTER, KIND_RANGE_DELETE, RECORD_HEADER_BYTES, FRAME_HEADER_BYTES } from './memory-map';
import { commonBytes } from './key';
import { memtableClear } from './memtable-clear';
import { addChild, childSlot, isLeaf, leafFirst, leafRecord, newVersion, smallestRecord, splitNode } from './radix-node';
import {
  expiryBytes,
  recordBytes,
  recordFlags,
  recordKey,
  recordKeyBytes,
  recordKind,
  recordSequence,
  recordValue,
  recordValueBytes,
} from './record';
import { sealFrame } from './frame';

/** One insert makes at most one grown node, one small node and one version. */
const INSERT_NODE_BYTES_MAX: u32 = 1040 + 40 + 16;

/** What the slot of a key holds after `record` was written over `leaf`: the record alone, or a version that keeps the older one. */
// @ts-ignore: decorator
@inline
function overwrite(memtable: usize, leaf: u32, record: usize): u32 {
  const own = recordSequence(record);
  const newest = load<f64>(memtable, 32);
  // Versions above the newest snapshot are seen by none, wherever they stand: one that kept them may have been released since.
  let kept = leaf;
  while (true) {
    const older = recordSequence(leafFirst(kept));
    if (<f64>older <= newest && older != own) {
      pin(memtable, leafFirst(kept));
      return newVersion(memtable, record, kept);
    }
    if (!(kept & 2)) break;
    kept = load<u32>(<usize>(kept & ~3), 4);
  }
  return <u32>record | 1;
}

function pin(memtable: usize, record: usize): void {
  let bytes = <f64>(recordKeyBytes(record) + recordValueBytes(record));
  if (recordKind(record) == KIND_POINTER) bytes += <f64>load<u32>(recordValue(record) + <usize>expiryBytes(recordFlags(record)), 4);
  store<f64>(memtable, load<f64>(memtable, 64) + bytes, 64);
}

/** Indexes a record. The node chunk has INSERT_NODE_BYTES_MAX left. Returns 1 when the key is new, 0 when it replaced. */
function insert(memtable: usize, record: usize): i32 {
  const key = recordKey(record);
  const keyBytes = recordKeyBytes(record);
  const leaf = <u32>record | 1;
  let slot = memtable;
  let depth = 0;
  while (true) {
    const reference = load<u32>(slot);
    if (reference == 0) {
      store<u32>(slot, leaf);
      return 1;
    }
    if (isLeaf(reference)) {
      const other = leafFirst(reference);
      const otherBytes = recordKeyBytes(other);
      const otherKey = recordKey(other);
      const at = depth + commonBytes(otherKey + depth, key + depth, min(keyBytes, otherBytes) - depth);
      if (at == keyBytes && at == otherBytes) {
        store<u32>(slot, overwrite(memtable, reference, record));
        return 0;
      }
      const node = splitNode(memtable, key, depth, at);
      store<u32>(slot, <u32>node);
      if (at == keyBytes) store<u32>(node, leaf, 4);
      else addChild(memtable, slot, node, load<u8>(key + at), leaf);
      if (at == otherBytes) store<u32>(node, reference, 4);
      else addChild(memtable, slot, node, load<u8>(otherKey + at), reference);
      return 1;
    }
    const node = <usize>reference;
    const prefixBytes = <i32>load<u16>(node, 2);
    if (prefixBytes) {
      const comparable = min(prefixBytes, keyBytes - depth);
      let same = commonBytes(node + 8, key + depth, min(comparable, 8));
      let below: usize = 0;
      if (same == 8 && prefixBytes > 8) {
        below = recordKey(smallestRecord(reference));
        same = 8 + commonBytes(below + depth + 8, key + depth + 8, comparable - 8);
      }
      if (same < prefixBytes) {
        if (!below && prefixBytes > 8) below = recordKey(smallestRecord(reference));
        const parent = splitNode(memtable, key, depth, depth + same);
        const byte = prefixBytes > 8 ? load<u8>(below + depth + same) : load<u8>(node + same, 8);
        const rest = prefixBytes - same - 1;
        store<u16>(node, <u16>rest, 2);
        if (prefixBytes > 8) store<u64>(node, load<u64>(below + depth + same + 1), 8);
        else store<u64>(node, same == 7 ? 0 : load<u64>(node, 8) >> ((<u64>(same + 1)) << 3), 8);
        store<u32>(slot, <u32>parent);
        addChild(memtable, slot, parent, byte, reference);
        if (depth + same == keyBytes) store<u32>(parent, leaf, 4);
        else addChild(memtable, slot, parent, load<u8>(key + depth + same), leaf);
        return 1;
      }
      depth += prefixBytes;
    }
    if (depth == keyBytes) {
      const end = load<u32>(node, 4);
      store<u32>(node, end ? overwrite(memtable, end, record) : leaf, 4);
      return end ? 0 : 1;
    }
    const next = childSlot(node, load<u8>(key + depth));
    if (!next) {
      addChild(memtable, slot, node, load<u8>(key + depth), leaf);
      return 1;
    }
    slot = next;
    depth++;
  }
  return 0;
}

/** Clears a header. The host sets the chunks' bounds. */
export function memtableInit(memtable: usize): void {
  memory.fill(memtable, 0, 72);
  store<f64>(memtable, -1, 32);
}

// @ts-ignore: decorator
@inline
function index(memtable: usize, record: usize): void {
  const fresh = insert(memtable, record);
  store<u32>(memtable, load<u32>(memtable, 20) + fresh, 20);
  store<u32>(memtable, load<u32>(memtable, 24) + 1, 24);
  const kind = recordKind(record);
  if (kind == KIND_POINTER) store<u32>(memtable, load<u32>(memtable, 48) + 1, 48);
  else if (kind == KIND_DELETE) store<u32>(memtable, load<u32>(memtable, 52) + 1, 52);
}

// @ts-ignore: decorator
@inline
function hasNodeSpace(memtable: usize): bool {
  return load<u32>(memtable, 16) - load<u32>(memtable, 12) >= INSERT_NODE_BYTES_MAX;
}

/** Whether so many records can be indexed for certain. */
// @ts-ignore: decorator
@inline
export function hasNodesFor(memtable: usize, records: u32): bool {
  return <u64>(load<u32>(memtable, 16) - load<u32>(memtable, 12)) >= <u64>records * <u64>INSERT_NODE_BYTES_MAX;
}

/**
 * A batch of one. The host has put key and stored value at record top + frame header + record header, and knows that they fit the chunk.
 * `kind`: the record's kind, its flags in bits 8..15. Writes both headers, seals the frame and indexes the record. Returns the new record top, or 0 when a node chunk must be added first.
 */
export function memtablePut(
  memtable: usize,
  keyBytes: i32,
  valueBytes: i32,
  kind: i32,
  sequence: f64,
  payloadBytes: u32,
  syncedTo: u32,
  segment: u32,
): u32 {
  if (!hasNodeSpace(memtable)) return 0;
  const frame = <usize>load<u32>(memtable, 4);
  const record = frame + FRAME_HEADER_BYTES;
  const bytes = recordBytes(keyBytes, valueBytes);
  // The last word first: it holds the padding, and the value's tail overwrites nothing of it.
  const end = record + RECORD_HEADER_BYTES + keyBytes + valueBytes;
  const padding = record + bytes - end;
  for (let i: usize = 0; i < padding; i++) store<u8>(end + i, 0);
  store<u32>(record, valueBytes);
  store<u32>(record, <u32>keyBytes | ((<u32>kind) << 16), 4);
  store<u64>(record, <u64>sequence, 8);
  sealFrame(frame, bytes, payloadBytes, syncedTo, 1, segment);
  index(memtable, record);
  store<u32>(memtable, load<u32>(memtable, 28) + bytes + FRAME_HEADER_BYTES, 28);
  store<f64>(memtable, sequence, 40);
  const top = <u32>(record + bytes);
  store<u32>(memtable, top, 4);
  return top;
}

/**
 * Indexes the records in [from, from + bytes). `sequence` >= 0 is stored into each first; < 0 keeps the record's own (recovery), and
 * records at or below `skipTo` are passed over. Returns how many bytes are done: fewer when a node chunk must be added first.
 */
export function memtableInsert(memtable: usize, from: usize, bytes: u32, sequence: f64, skipTo: f64): u32 {
  let at = from;
  const end = from + bytes;
  while (at < end) {
    if (!hasNodeSpace(memtable)) return <u32>(at - from);
    if (sequence >= 0) store<u64>(at, <u64>sequence, 8);
    const own = <f64>recordSequence(at);
    const size = recordBytes(recordKeyBytes(at), load<i32>(at));
    if (own > skipTo) {
      if (recordKind(at) == KIND_RANGE_DELETE) {
        // All there is is older, and what follows in its batch is not yet there. A snapshot's versions stay: the tombstone hides them from the rest.
        if (load<f64>(memtable, 32) < 0) memtableClear(memtable, recordKey(at), recordKeyBytes(at), recordValue(at), load<i32>(at));
        store<u32>(memtable, load<u32>(memtable, 24) + 1, 24);
        store<u32>(memtable, load<u32>(memtable, 56) + 1, 56);
      } else index(memtable, at);
      store<u32>(memtable, load<u32>(memtable, 28) + size, 28);
      if (own > load<f64>(memtable, 40)) store<f64>(memtable, own, 40);
    }
    at += size;
  }
  return bytes;
}

/** The newest record of the key with a sequence of at most `sequence`, or 0. */
export function memtableFind(memtable: usize, key: usize, keyBytes: i32, sequence: u64): usize {
  let reference = load<u32>(memtable);
  let depth = 0;
  while (reference) {
    if (isLeaf(reference)) {
      const record = leafFirst(reference);
      if (recordKeyBytes(record) != keyBytes || commonBytes(recordKey(record), key, keyBytes) != keyBytes) return 0;
      return leafRecord(reference, sequence);
    }
    const node = <usize>reference;
    // Optimistic: the prefix is skipped here and the whole key compared at the leaf.
    depth += <i32>load<u16>(node, 2);
    if (depth >= keyBytes) {
      if (depth > keyBytes) return 0;
      reference = load<u32>(node, 4);
      continue;
    }
    const slot = childSlot(node, load<u8>(key + depth));
    if (!slot) return 0;
    reference = load<u32>(slot);
    depth++;
  }
  return 0;
}
