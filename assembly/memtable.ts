/**
 * The memtable: an adaptive radix tree (Leis et al., ICDE 2013) over records that lie in arena chunks, where they are the log's image.
 * Nodes live in chunks of their own. One writer (the caller's thread); a sealed memtable is read by the background thread as well.
 *
 *   header, 72 bytes:
 *    0 root u32            a reference (see below), 0: empty
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
 *
 * A reference: 0 none; bit 0 clear: address of a node; bits 1..0 = 01: address of a record; 11: address of a version
 * { record u32, older reference u32 }. Everything is 8-aligned, so the low bits are free.
 *
 *   node header, 16 bytes: | type u8 | children u8 | prefix bytes u16 | end u32 | first 8 prefix bytes |
 *   `end` is the reference of the key that stops at this node. A prefix over 8 bytes is compared in the smallest record below.
 *    node 4:   key bytes x 4, children u32 x 4 (sorted)        node 16: key bytes x 16, children x 16 (sorted)
 *    node 48:  slot number by byte (256), children x 48        node 256: children x 256
 */
import { KIND_DELETE, KIND_POINTER, KIND_RANGE_DELETE, RECORD_HEADER_BYTES, FRAME_HEADER_BYTES } from './memory-map';
import { commonBytes, compareKeys } from './key';
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

const NODE_HEADER_BYTES: usize = 16;
const NODE_4: u8 = 0;
const NODE_16: u8 = 1;
const NODE_48: u8 = 2;
const NODE_256: u8 = 3;
const NODE_4_BYTES: usize = NODE_HEADER_BYTES + 4 + 16 + 4;
const NODE_16_BYTES: usize = NODE_HEADER_BYTES + 16 + 64;
const NODE_48_BYTES: usize = NODE_HEADER_BYTES + 256 + 192;
const NODE_256_BYTES: usize = NODE_HEADER_BYTES + 1024;
/** One insert makes at most one grown node, one small node and one version. */
const INSERT_NODE_BYTES_MAX: u32 = 1040 + 40 + 16;

// @ts-ignore: decorator
@inline
function isLeaf(reference: u32): bool {
  return (reference & 1) != 0;
}
/** The newest record of a leaf. */
// @ts-ignore: decorator
@inline
export function leafFirst(leaf: u32): usize {
  return leaf & 2 ? <usize>load<u32>(<usize>(leaf & ~3)) : <usize>(leaf & ~1);
}
/** The newest record of a leaf with a sequence of at most `sequence`, or 0. */
export function leafRecord(leaf: u32, sequence: u64): usize {
  let at = leaf;
  while (at & 2) {
    const record = <usize>load<u32>(<usize>(at & ~3));
    if (recordSequence(record) <= sequence) return record;
    at = load<u32>(<usize>(at & ~3), 4);
  }
  const record = <usize>(at & ~1);
  return recordSequence(record) <= sequence ? record : 0;
}

// @ts-ignore: decorator
@inline
function newNode(memtable: usize, type: u8, bytes: usize): usize {
  const node = <usize>load<u32>(memtable, 12);
  store<u32>(memtable, <u32>(node + bytes), 12);
  if (bytes == NODE_4_BYTES) {
    const zero = i64x2.splat(0);
    v128.store(node, zero);
    v128.store(node, zero, 16);
    store<u64>(node, 0, 32);
  } else memory.fill(node, 0, bytes);
  store<u8>(node, type);
  return node;
}

/** The record of the smallest key below a reference. */
function smallestRecord(reference: u32): usize {
  let at = reference;
  while (!isLeaf(at)) {
    const node = <usize>at;
    const end = load<u32>(node, 4);
    if (end) return leafFirst(end);
    const type = load<u8>(node);
    if (type == NODE_4) at = load<u32>(node, NODE_HEADER_BYTES + 4);
    else if (type == NODE_16) at = load<u32>(node, NODE_HEADER_BYTES + 16);
    else if (type == NODE_48) {
      let byte: usize = 0;
      while (!load<u8>(node + byte, NODE_HEADER_BYTES)) byte++;
      at = load<u32>(node + ((<usize>(load<u8>(node + byte, NODE_HEADER_BYTES) - 1)) << 2), NODE_HEADER_BYTES + 256);
    } else {
      let byte: usize = 0;
      while (!load<u32>(node + (byte << 2), NODE_HEADER_BYTES)) byte++;
      at = load<u32>(node + (byte << 2), NODE_HEADER_BYTES);
    }
  }
  return leafFirst(at);
}

/** Address of the child reference for a byte, or 0. */
// @ts-ignore: decorator
@inline
function childSlot(node: usize, byte: u8): usize {
  const type = load<u8>(node);
  if (type == NODE_4) {
    const children = <i32>load<u8>(node, 1);
    for (let i = 0; i < children; i++) {
      if (load<u8>(node + i, NODE_HEADER_BYTES) == byte) return node + NODE_HEADER_BYTES + 4 + ((<usize>i) << 2);
    }
    return 0;
  }
  if (type == NODE_16) {
    const equal = i8x16.bitmask(i8x16.eq(v128.load(node, NODE_HEADER_BYTES), i8x16.splat(byte))) & ((1 << (<i32>load<u8>(node, 1))) - 1);
    return equal ? node + NODE_HEADER_BYTES + 16 + ((<usize>ctz(equal)) << 2) : 0;
  }
  if (type == NODE_48) {
    const slot = load<u8>(node + byte, NODE_HEADER_BYTES);
    return slot ? node + NODE_HEADER_BYTES + 256 + ((<usize>(slot - 1)) << 2) : 0;
  }
  const at = node + NODE_HEADER_BYTES + ((<usize>byte) << 2);
  return load<u32>(at) ? at : 0;
}

/** Replaces a full node by the next larger one and adds the child there. */
function growNode(memtable: usize, slot: usize, node: usize, byte: u8, child: u32): void {
  const type = load<u8>(node);
  let grown: usize;
  if (type == NODE_4) {
    grown = newNode(memtable, NODE_16, NODE_16_BYTES);
    v128.store(grown, v128.load(node));
    store<u8>(grown, NODE_16);
    store<u32>(grown, load<u32>(node, NODE_HEADER_BYTES), NODE_HEADER_BYTES);
    v128.store(grown, v128.load(node, NODE_HEADER_BYTES + 4), NODE_HEADER_BYTES + 16);
  } else if (type == NODE_16) {
    grown = newNode(memtable, NODE_48, NODE_48_BYTES);
    v128.store(grown, v128.load(node));
    store<u8>(grown, NODE_48);
    for (let i = 0; i < 16; i++) store<u8>(grown + load<u8>(node + i, NODE_HEADER_BYTES), <u8>(i + 1), NODE_HEADER_BYTES);
    memory.copy(grown + NODE_HEADER_BYTES + 256, node + NODE_HEADER_BYTES + 16, 64);
  } else {
    grown = newNode(memtable, NODE_256, NODE_256_BYTES);
    v128.store(grown, v128.load(node));
    store<u8>(grown, NODE_256);
    for (let i = 0; i < 256; i++) {
      const at = load<u8>(node + i, NODE_HEADER_BYTES);
      if (at) store<u32>(grown + ((<usize>i) << 2), load<u32>(node + ((<usize>(at - 1)) << 2), NODE_HEADER_BYTES + 256), NODE_HEADER_BYTES);
    }
  }
  store<u32>(slot, <u32>grown);
  addChild(memtable, slot, grown, byte, child);
}

/** Adds a child for a byte that the node does not have yet. `slot` holds the reference to the node, which may be replaced. */
function addChild(memtable: usize, slot: usize, node: usize, byte: u8, child: u32): void {
  const type = load<u8>(node);
  const children = <i32>load<u8>(node, 1);
  if (type == NODE_4) {
    if (children == 4) {
      growNode(memtable, slot, node, byte, child);
      return;
    }
    let i = 0;
    while (i < children && load<u8>(node + i, NODE_HEADER_BYTES) < byte) i++;
    for (let j = children; j > i; j--) {
      store<u8>(node + j, load<u8>(node + j - 1, NODE_HEADER_BYTES), NODE_HEADER_BYTES);
      store<u32>(node + ((<usize>j) << 2), load<u32>(node + ((<usize>(j - 1)) << 2), NODE_HEADER_BYTES + 4), NODE_HEADER_BYTES + 4);
    }
    store<u8>(node + i, byte, NODE_HEADER_BYTES);
    store<u32>(node + ((<usize>i) << 2), child, NODE_HEADER_BYTES + 4);
    store<u8>(node, <u8>(children + 1), 1);
  } else if (type == NODE_16) {
    if (children == 16) {
      growNode(memtable, slot, node, byte, child);
      return;
    }
    const smaller = i8x16.bitmask(i8x16.lt_u(v128.load(node, NODE_HEADER_BYTES), i8x16.splat(byte))) & ((1 << children) - 1);
    const i = <i32>popcnt(smaller);
    for (let j = children; j > i; j--) {
      store<u8>(node + j, load<u8>(node + j - 1, NODE_HEADER_BYTES), NODE_HEADER_BYTES);
      store<u32>(node + ((<usize>j) << 2), load<u32>(node + ((<usize>(j - 1)) << 2), NODE_HEADER_BYTES + 16), NODE_HEADER_BYTES + 16);
    }
    store<u8>(node + i, byte, NODE_HEADER_BYTES);
    store<u32>(node + ((<usize>i) << 2), child, NODE_HEADER_BYTES + 16);
    store<u8>(node, <u8>(children + 1), 1);
  } else if (type == NODE_48) {
    if (children == 48) {
      growNode(memtable, slot, node, byte, child);
      return;
    }
    store<u8>(node + byte, <u8>(children + 1), NODE_HEADER_BYTES);
    store<u32>(node + ((<usize>children) << 2), child, NODE_HEADER_BYTES + 256);
    store<u8>(node, <u8>(children + 1), 1);
  } else store<u32>(node + ((<usize>byte) << 2), child, NODE_HEADER_BYTES);
}

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

function newVersion(memtable: usize, record: usize, older: u32): u32 {
  const version = <usize>load<u32>(memtable, 12);
  store<u32>(memtable, <u32>(version + 8), 12);
  store<u32>(version, <u32>record);
  store<u32>(version, older, 4);
  return <u32>version | 3;
}

/** A node that splits a path at `at` bytes of the key, where the prefix before it begins at `depth`. */
// @ts-ignore: decorator
@inline
function splitNode(memtable: usize, key: usize, depth: i32, at: i32): usize {
  const node = newNode(memtable, NODE_4, NODE_4_BYTES);
  store<u16>(node, <u16>(at - depth), 2);
  store<u64>(node, load<u64>(key + depth), 8);
  return node;
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

/**
 * Takes every key from `start` to `end` (excluded) out of the tree, whole subtrees at a time: the cost is that of the two paths, whatever
 * lies between. For a range tombstone that is newer than all there is, when nobody reads at an older sequence.
 */
export function memtableClear(memtable: usize, start: usize, startBytes: i32, end: usize, endBytes: i32): void {
  const root = load<u32>(memtable);
  if (root) store<u32>(memtable, cleared(root, 0, start, startBytes, end, endBytes));
}

/**
 * What is left of a subtree. `startBytes`, `endBytes`: negative when the path has left that bound behind, so that nothing below can be
 * outside of it; otherwise the path is the bound's first `depth` bytes.
 */
function cleared(reference: u32, depth: i32, start: usize, startBytes: i32, end: usize, endBytes: i32): u32 {
  if (startBytes < 0 && endBytes < 0) return 0;
  if (isLeaf(reference)) {
    const record = leafFirst(reference);
    const key = recordKey(record);
    const keyBytes = recordKeyBytes(record);
    if (startBytes >= 0 && compareKeys(key, keyBytes, start, startBytes) < 0) return reference;
    return endBytes >= 0 && compareKeys(key, keyBytes, end, endBytes) >= 0 ? reference : 0;
  }
  const node = <usize>reference;
  const prefixBytes = <i32>load<u16>(node, 2);
  const below = depth + prefixBytes;
  let low = startBytes;
  let high = endBytes;
  if (prefixBytes) {
    const key = recordKey(smallestRecord(reference));
    if (low >= 0) {
      const order = comparePath(key, below, start, low, depth);
      if (order < 0) return reference;
      if (order > 0) low = -1;
    }
    if (high >= 0) {
      const order = comparePath(key, below, end, high, depth);
      if (order > 0) return reference;
      if (order < 0) high = -1;
    }
    if (low < 0 && high < 0) return 0;
  }
  // Everything below begins with the path. Where a bound is no longer than that, all of it is at or above the bound.
  if (low >= 0 && low <= below) low = -1;
  if (high >= 0 && high <= below) return reference;
  if (low < 0 && high < 0) return 0;
  // The key that stops here: below a start that goes on, below an end that goes on.
  if (low < 0) store<u32>(node, 0, 4);
  return clearChildren(node, below, start, low, end, high);
}

/** The first `pathBytes` of `key` against a bound that shares `depth` of them: 0 when one of the two begins with the other. */
function comparePath(key: usize, pathBytes: i32, bound: usize, boundBytes: i32, depth: i32): i32 {
  const shared = min(pathBytes, boundBytes);
  const at = depth + commonBytes(key + depth, bound + depth, shared - depth);
  return at < shared ? <i32>load<u8>(key + at) - <i32>load<u8>(bound + at) : 0;
}

/** What becomes of the child for a byte. */
// @ts-ignore: decorator
@inline
function clearedChild(child: u32, byte: i32, depth: i32, start: usize, startBytes: i32, end: usize, endBytes: i32): u32 {
  let low = startBytes;
  let high = endBytes;
  if (low >= 0) {
    const bound = <i32>load<u8>(start + depth);
    if (byte < bound) return child;
    if (byte > bound) low = -1;
  }
  if (high >= 0) {
    const bound = <i32>load<u8>(end + depth);
    if (byte > bound) return child;
    if (byte < bound) high = -1;
  }
  return cleared(child, depth + 1, start, low, end, high);
}

/** Clears the children of a node; answers the node, or what stands for it: nothing, or the one key that stops there. */
function clearChildren(node: usize, depth: i32, start: usize, startBytes: i32, end: usize, endBytes: i32): u32 {
  const type = load<u8>(node);
  let left = 0;
  if (type <= NODE_16) {
    const children = <i32>load<u8>(node, 1);
    const slots = node + NODE_HEADER_BYTES + (type == NODE_4 ? 4 : 16);
    for (let i = 0; i < children; i++) {
      const byte = load<u8>(node + i, NODE_HEADER_BYTES);
      const child = clearedChild(load<u32>(slots + ((<usize>i) << 2)), <i32>byte, depth, start, startBytes, end, endBytes);
      if (!child) continue;
      store<u8>(node + left, byte, NODE_HEADER_BYTES);
      store<u32>(slots + ((<usize>left) << 2), child);
      left++;
    }
    store<u8>(node, <u8>left, 1);
  } else if (type == NODE_48) {
    // Slots that are given up stay so: their number counts on.
    for (let byte = 0; byte < 256; byte++) {
      const slot = load<u8>(node + byte, NODE_HEADER_BYTES);
      if (!slot) continue;
      const at = node + NODE_HEADER_BYTES + 256 + ((<usize>(slot - 1)) << 2);
      const child = clearedChild(load<u32>(at), byte, depth, start, startBytes, end, endBytes);
      if (child) left++;
      else store<u8>(node + byte, 0, NODE_HEADER_BYTES);
      store<u32>(at, child);
    }
  } else {
    for (let byte = 0; byte < 256; byte++) {
      const at = node + NODE_HEADER_BYTES + ((<usize>byte) << 2);
      const old = load<u32>(at);
      if (!old) continue;
      const child = clearedChild(old, byte, depth, start, startBytes, end, endBytes);
      if (child) left++;
      store<u32>(at, child);
    }
  }
  return left ? <u32>node : load<u32>(node, 4);
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
