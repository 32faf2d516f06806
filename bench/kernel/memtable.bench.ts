/** The memtable: puts of 100 bytes under random and ascending 16-byte keys, and ordered walks. Run: `node bench/kernel/run.ts memtable`. */
import { bench, do_not_optimize, group } from 'mitata';
import { FRAME_HEADER_BYTES, FRONT, KIND_PUT, RECORD_HEADER_BYTES, STACKS } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { Memtable } from '../../engine/memtable/index.ts';

const KEYS = 200_000;
const VALUE_BYTES = 100;
const FRAME_BYTES = FRAME_HEADER_BYTES + ((RECORD_HEADER_BYTES + 16 + VALUE_BYTES + 7) & ~7);

const memory = new LinearMemory(512 * 1024 * 1024);
const value = new Uint8Array(VALUE_BYTES).fill(7);
const random = keys((i) => Math.imul(i, 0x9e3779b1) >>> 0);
const ascending = keys((i) => i);

function keys(order: (i: number) => number): Uint8Array[] {
  return Array.from({ length: KEYS }, (_, i) => Buffer.from(String(order(i)).padStart(16, '0')));
}

function fill(order: readonly Uint8Array[]): Memtable {
  const table = new Memtable(memory, 1);
  const put = memory.kernel['memtablePut']!;
  for (let i = 0; i < order.length; i++) {
    const at = table.reserve(FRAME_BYTES) + FRAME_HEADER_BYTES + RECORD_HEADER_BYTES;
    memory.u8.set(order[i]!, at);
    memory.u8.set(value, at + 16);
    while (put(table.address, 16, VALUE_BYTES, KIND_PUT, i + 1, 0, 0, 1) === 0) table.addNodeChunk();
  }
  return table;
}

group('memtable, 16-byte keys and 100-byte values', () => {
  bench(`${KEYS} puts, random keys`, () => fill(random).free());
  bench(`${KEYS} puts, ascending keys`, () => fill(ascending).free());
  const filled = fill(random);
  bench(`walk over ${KEYS} keys`, () => {
    const stack = FRONT + STACKS;
    memory.kernel['memtableSeek']!(filled.address, stack, 0, 0);
    let leaves = 0;
    while (memory.kernel['memtableNext']!(stack) !== 0) leaves++;
    return do_not_optimize(leaves);
  });
});
