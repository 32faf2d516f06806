/**
 * A range of keys taken out of the memtable's tree (radix-node.ts). Called for range deletes by memtable.ts.
 */
import { commonBytes, compareKeys } from './key';
import { recordKey, recordKeyBytes } from './record';
import { isLeaf, leafFirst, NODE_16, NODE_4, NODE_48, NODE_HEADER_BYTES, smallestRecord } from './radix-node';

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
