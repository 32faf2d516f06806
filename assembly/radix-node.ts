/**
 * The nodes and leaves of the memtable's tree. Each is taken from the memtable's node chunk, whose top is in its header (memtable.ts), and none is
 * given back before the memtable is. Called by memtable.ts, memtable-clear.ts, memtable-iterator.ts.
 *
 * A reference: 0 none; bit 0 clear: address of a node; bits 1..0 = 01: address of a record; 11: address of a version
 * { record u32, older reference u32 }. Everything is 8-aligned, so the low bits are free.
 *
 *   node header, 16 bytes: | type u8 | children u8 | prefix bytes u16 | end u32 | first 8 prefix bytes |
 *   `end` is the reference of the key that stops at this node. A prefix over 8 bytes is compared in the smallest record below.
 *    node 4:   key bytes x 4, children u32 x 4 (sorted)        node 16: key bytes x 16, children x 16 (sorted)
 *    node 48:  slot number by byte (256), children x 48        node 256: children x 256
 */
import { recordSequence } from './record';

export const NODE_HEADER_BYTES: usize = 16;
export const NODE_4: u8 = 0;
export const NODE_16: u8 = 1;
export const NODE_48: u8 = 2;
const NODE_256: u8 = 3;
const NODE_4_BYTES: usize = NODE_HEADER_BYTES + 4 + 16 + 4;
const NODE_16_BYTES: usize = NODE_HEADER_BYTES + 16 + 64;
const NODE_48_BYTES: usize = NODE_HEADER_BYTES + 256 + 192;
const NODE_256_BYTES: usize = NODE_HEADER_BYTES + 1024;

// @ts-ignore: decorator
@inline
export function isLeaf(reference: u32): bool {
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
export function smallestRecord(reference: u32): usize {
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
export function childSlot(node: usize, byte: u8): usize {
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
export function addChild(memtable: usize, slot: usize, node: usize, byte: u8, child: u32): void {
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

/** A leaf that keeps an older one. */
export function newVersion(memtable: usize, record: usize, older: u32): u32 {
  const version = <usize>load<u32>(memtable, 12);
  store<u32>(memtable, <u32>(version + 8), 12);
  store<u32>(version, <u32>record);
  store<u32>(version, older, 4);
  return <u32>version | 3;
}

/** A node that splits a path at `at` bytes of the key, where the prefix before it begins at `depth`. */
// @ts-ignore: decorator
@inline
export function splitNode(memtable: usize, key: usize, depth: i32, at: i32): usize {
  const node = newNode(memtable, NODE_4, NODE_4_BYTES);
  store<u16>(node, <u16>(at - depth), 2);
  store<u64>(node, load<u64>(key + depth), 8);
  return node;
}
