/**
 * Ordered walks over a memtable, both ways, with an explicit stack so that a walk can stop and go on within one kernel call sequence.
 * A stack is valid only while the memtable is not written to: scans seek anew for every window.
 *
 *   stack: | depth i32 | pad | frame x depth: reference u32, position i32 |
 *   position of a node: forward, the next child to visit (-1: its `end` first); backward, the last child visited plus one
 *   (0: only its `end` is left). Positions are indexes in nodes 4 and 16, bytes in nodes 48 and 256.
 */
import { commonBytes } from './key';
import { recordKey, recordKeyBytes } from './record';
import { leafFirst, NODE_16, NODE_4, NODE_48, NODE_HEADER_BYTES } from './radix-node';

/** Larger than any position. */
const PAST_ALL: i32 = 256;

// @ts-ignore: decorator
@inline
function push(stack: usize, reference: u32, position: i32): void {
  const depth = load<i32>(stack) + 1;
  store<i32>(stack, depth);
  store<u32>(stack + ((<usize>depth) << 3), reference);
  store<i32>(stack + ((<usize>depth) << 3), position, 4);
}

function smallest(reference: u32): usize {
  let at = reference;
  while (!(at & 1)) {
    const node = <usize>at;
    const end = load<u32>(node, 4);
    at = end ? end : childFrom(node, 0, false);
  }
  return leafFirst(at);
}

/** The first child at a position of at least `position`, or 0; `keep` stores the position behind it into the top frame's cell at `keepAt`. */
// @ts-ignore: decorator
@inline
function childFrom(node: usize, position: i32, keep: bool, keepAt: usize = 0): u32 {
  const type = load<u8>(node);
  let child: u32 = 0;
  let at = position;
  if (type <= NODE_16) {
    if (at < <i32>load<u8>(node, 1)) {
      child = load<u32>(node + (type == NODE_4 ? 4 : 16) + ((<usize>at) << 2), NODE_HEADER_BYTES);
      at++;
    }
  } else if (type == NODE_48) {
    while (at < 256 && !child) {
      const slot = load<u8>(node + at, NODE_HEADER_BYTES);
      if (slot) child = load<u32>(node + ((<usize>(slot - 1)) << 2), NODE_HEADER_BYTES + 256);
      at++;
    }
  } else {
    while (at < 256 && !child) {
      child = load<u32>(node + ((<usize>at) << 2), NODE_HEADER_BYTES);
      at++;
    }
  }
  if (keep) store<i32>(keepAt, at);
  return child;
}

/** The last child at a position below `position`, or 0; its position goes to `keepAt`. */
// @ts-ignore: decorator
@inline
function childBefore(node: usize, position: i32, keepAt: usize): u32 {
  const type = load<u8>(node);
  let child: u32 = 0;
  let at = position;
  if (type <= NODE_16) {
    at = min(at, <i32>load<u8>(node, 1));
    if (at > 0) {
      at--;
      child = load<u32>(node + (type == NODE_4 ? 4 : 16) + ((<usize>at) << 2), NODE_HEADER_BYTES);
    }
  } else if (type == NODE_48) {
    while (at > 0 && !child) {
      at--;
      const slot = load<u8>(node + at, NODE_HEADER_BYTES);
      if (slot) child = load<u32>(node + ((<usize>(slot - 1)) << 2), NODE_HEADER_BYTES + 256);
    }
  } else {
    while (at > 0 && !child) {
      at--;
      child = load<u32>(node + ((<usize>at) << 2), NODE_HEADER_BYTES);
    }
  }
  store<i32>(keepAt, at);
  return child;
}

/** How many children have a byte smaller than `byte` (nodes 4, 16), or the byte itself (nodes 48, 256): the position of `byte`. */
// @ts-ignore: decorator
@inline
function positionOf(node: usize, byte: i32): i32 {
  if (load<u8>(node) > NODE_16) return byte;
  const children = <i32>load<u8>(node, 1);
  let i = 0;
  while (i < children && <i32>load<u8>(node + i, NODE_HEADER_BYTES) < byte) i++;
  return i;
}

// @ts-ignore: decorator
@inline
function childAt(node: usize, byte: i32): u32 {
  const type = load<u8>(node);
  if (type == NODE_48) {
    const slot = load<u8>(node + byte, NODE_HEADER_BYTES);
    return slot ? load<u32>(node + ((<usize>(slot - 1)) << 2), NODE_HEADER_BYTES + 256) : 0;
  }
  if (type > NODE_48) return load<u32>(node + ((<usize>byte) << 2), NODE_HEADER_BYTES);
  const i = positionOf(node, byte);
  if (i >= <i32>load<u8>(node, 1) || <i32>load<u8>(node + i, NODE_HEADER_BYTES) != byte) return 0;
  return load<u32>(node + (type == NODE_4 ? 4 : 16) + ((<usize>i) << 2), NODE_HEADER_BYTES);
}

/** Three-way comparison of a leaf's key with `key`, of which the first `depth` bytes are known to be the same. */
// @ts-ignore: decorator
@inline
function compareLeaf(leaf: u32, key: usize, keyBytes: i32, depth: i32): i32 {
  const record = leafFirst(leaf);
  const own = recordKey(record);
  const ownBytes = recordKeyBytes(record);
  const shared = min(ownBytes, keyBytes);
  const at = depth + commonBytes(own + depth, key + depth, shared - depth);
  if (at < shared) return <i32>load<u8>(own + at) - <i32>load<u8>(key + at);
  return ownBytes - keyBytes;
}

/** Stands before the first key >= `key` (keyBytes 0: before the first of all). */
export function memtableSeek(memtable: usize, stack: usize, key: usize, keyBytes: i32): void {
  store<i32>(stack, 0);
  let reference = load<u32>(memtable);
  let depth = 0;
  while (reference) {
    if (reference & 1) {
      if (compareLeaf(reference, key, keyBytes, depth) >= 0) push(stack, reference, -1);
      return;
    }
    const node = <usize>reference;
    const prefixBytes = <i32>load<u16>(node, 2);
    if (prefixBytes) {
      const below = recordKey0(reference) + depth;
      const comparable = min(prefixBytes, keyBytes - depth);
      const same = commonBytes(below, key + depth, comparable);
      if (same < comparable) {
        if (load<u8>(below + same) > load<u8>(key + depth + same)) push(stack, reference, -1);
        return;
      }
      if (comparable < prefixBytes) {
        push(stack, reference, -1);
        return;
      }
      depth += prefixBytes;
    }
    if (depth == keyBytes) {
      push(stack, reference, -1);
      return;
    }
    const byte = <i32>load<u8>(key + depth);
    const position = positionOf(node, byte);
    const child = childAt(node, byte);
    push(stack, reference, child ? position + 1 : position);
    reference = child;
    depth++;
  }
}

// @ts-ignore: decorator
@inline
function recordKey0(reference: u32): usize {
  return recordKey(smallest(reference));
}

/** The next leaf in key order, 0 at the end. */
export function memtableNext(stack: usize): u32 {
  while (true) {
    const depth = load<i32>(stack);
    if (depth <= 0) return 0;
    const frame = stack + ((<usize>depth) << 3);
    const reference = load<u32>(frame);
    if (reference & 1) {
      store<i32>(stack, depth - 1);
      return reference;
    }
    const node = <usize>reference;
    const position = load<i32>(frame, 4);
    if (position < 0) {
      store<i32>(frame, 0, 4);
      const end = load<u32>(node, 4);
      if (end) return end;
      continue;
    }
    const child = childFrom(node, position, true, frame + 4);
    if (!child) {
      store<i32>(stack, depth - 1);
      continue;
    }
    if (child & 1) return child;
    push(stack, child, -1);
  }
  return 0;
}

/** Stands behind the greatest key < `key` (keyBytes < 0: behind the last of all). */
export function memtableSeekReverse(memtable: usize, stack: usize, key: usize, keyBytes: i32): void {
  store<i32>(stack, 0);
  let reference = load<u32>(memtable);
  if (!reference) return;
  if (keyBytes < 0) {
    push(stack, reference, PAST_ALL);
    return;
  }
  let depth = 0;
  while (reference) {
    if (reference & 1) {
      if (compareLeaf(reference, key, keyBytes, depth) < 0) push(stack, reference, PAST_ALL);
      return;
    }
    const node = <usize>reference;
    const prefixBytes = <i32>load<u16>(node, 2);
    if (prefixBytes) {
      const below = recordKey0(reference) + depth;
      const comparable = min(prefixBytes, keyBytes - depth);
      const same = commonBytes(below, key + depth, comparable);
      if (same < comparable) {
        if (load<u8>(below + same) < load<u8>(key + depth + same)) push(stack, reference, PAST_ALL);
        return;
      }
      // The key ends inside the prefix: everything below is longer and so larger.
      if (comparable < prefixBytes) return;
      depth += prefixBytes;
    }
    // What ends at this node is smaller only when the key goes on.
    if (depth == keyBytes) return;
    const byte = <i32>load<u8>(key + depth);
    push(stack, reference, positionOf(node, byte));
    reference = childAt(node, byte);
    depth++;
  }
}

/** The next leaf downwards, 0 at the end. */
export function memtablePrevious(stack: usize): u32 {
  while (true) {
    const depth = load<i32>(stack);
    if (depth <= 0) return 0;
    const frame = stack + ((<usize>depth) << 3);
    const reference = load<u32>(frame);
    if (reference & 1) {
      store<i32>(stack, depth - 1);
      return reference;
    }
    const node = <usize>reference;
    const child = childBefore(node, load<i32>(frame, 4), frame + 4);
    if (child) {
      if (child & 1) return child;
      push(stack, child, PAST_ALL);
      continue;
    }
    store<i32>(stack, depth - 1);
    const end = load<u32>(node, 4);
    if (end) return end;
  }
  return 0;
}
