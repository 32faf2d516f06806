/** The radix tree against a sorted map of versions: point reads at any sequence, walks both ways, overwrites with and without snapshots. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FRAME_HEADER_BYTES, FRONT, KEY_A, KEY_B, KIND_DELETE, KIND_PUT, RECORD_HEADER_BYTES, STACKS } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { Memtable } from '../../engine/memtable/index.ts';

const NEWEST = 2 ** 53 - 1;

/** Kernels that take a u64 are not part of the host's interface; the tests call them with a BigInt. */
type Walks = {
  memtableFind(memtable: number, key: number, keyBytes: number, sequence: bigint): number;
  leafRecord(leaf: number, sequence: bigint): number;
};

class Harness {
  readonly memory = new LinearMemory(64 * 1024 * 1024);
  readonly table = new Memtable(this.memory, 1);
  readonly #walks = this.memory.kernel as unknown as Walks;

  put(key: Uint8Array, value: Uint8Array | undefined, sequence: number): void {
    const valueBytes = value?.length ?? 0;
    const bytes = FRAME_HEADER_BYTES + ((RECORD_HEADER_BYTES + key.length + valueBytes + 7) & ~7);
    const frame = this.table.reserve(bytes);
    const at = frame + FRAME_HEADER_BYTES + RECORD_HEADER_BYTES;
    this.memory.u8.set(key, at);
    if (value) this.memory.u8.set(value, at + key.length);
    const kind = value ? KIND_PUT : KIND_DELETE;
    while (this.memory.kernel['memtablePut']!(this.table.address, key.length, valueBytes, kind, sequence, 0, 0, 1) === 0)
      this.table.addNodeChunk();
  }

  #value(record: number): Uint8Array | undefined {
    const { u8, u16, u32 } = this.memory;
    if (u8[record + 6] === KIND_DELETE) return undefined;
    const from = record + RECORD_HEADER_BYTES + u16[(record + 4) >>> 1]!;
    return u8.slice(from, from + u32[record >>> 2]!);
  }

  /** Undefined: no version at or below the sequence. */
  find(key: Uint8Array, sequence: number): { value: Uint8Array | undefined } | undefined {
    this.memory.u8.set(key, FRONT + KEY_A);
    const record = this.#walks.memtableFind(this.table.address, FRONT + KEY_A, key.length, BigInt(sequence)) >>> 0;
    return record === 0 ? undefined : { value: this.#value(record) };
  }

  clear(start: Uint8Array, end: Uint8Array): void {
    this.memory.u8.set(start, FRONT + KEY_A);
    this.memory.u8.set(end, FRONT + KEY_B);
    this.memory.kernel['memtableClear']!(this.table.address, FRONT + KEY_A, start.length, FRONT + KEY_B, end.length);
  }

  walk(from: Uint8Array | undefined, reverse: boolean): string[] {
    const { kernel, u8, u16 } = this.memory;
    const stack = FRONT + STACKS;
    if (from) u8.set(from, FRONT + KEY_A);
    if (reverse) kernel['memtableSeekReverse']!(this.table.address, stack, FRONT + KEY_A, from ? from.length : -1);
    else kernel['memtableSeek']!(this.table.address, stack, FRONT + KEY_A, from ? from.length : 0);
    const keys: string[] = [];
    for (;;) {
      const leaf = kernel[reverse ? 'memtablePrevious' : 'memtableNext']!(stack) >>> 0;
      if (leaf === 0) return keys;
      const record = this.#walks.leafRecord(leaf, BigInt(NEWEST)) >>> 0;
      const at = record + RECORD_HEADER_BYTES;
      keys.push(Buffer.from(u8.slice(at, at + u16[(record + 4) >>> 1]!)).toString('hex'));
    }
  }
}

/** Few letters and shared runs, so that prefixes nest, split and end inside one another. */
const keys = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 6 }).map((bytes) => bytes.map((byte) => byte % 3)),
  fc.uint8Array({ minLength: 1, maxLength: 24 }),
  fc
    .tuple(fc.constantFrom(7, 8, 9, 20, 300), fc.uint8Array({ maxLength: 3 }))
    .map(([run, tail]) => new Uint8Array([...new Uint8Array(run).fill(0x61), ...tail])),
  fc.constantFrom(new Uint8Array([0]), new Uint8Array([0xff]), new Uint8Array([0xff, 0xff]), new Uint8Array(4096).fill(0x62)),
);

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a, 'hex'), Buffer.from(b, 'hex'));

describe('memtable', () => {
  test('finds the newest version at or below a sequence, and walks in order both ways', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(keys, fc.option(fc.uint8Array({ maxLength: 40 }))), { minLength: 1, maxLength: 120 }),
        keys,
        (writes, probe) => {
          const harness = new Harness();
          const model = new Map<string, Uint8Array | undefined>();
          let sequence = 0;
          for (const [key, value] of writes) {
            harness.put(key, value ?? undefined, ++sequence);
            model.set(Buffer.from(key).toString('hex'), value ?? undefined);
          }
          for (const [hex, value] of model) expect(harness.find(Buffer.from(hex, 'hex'), NEWEST)).toEqual({ value });
          const hex = Buffer.from(probe).toString('hex');
          expect(harness.find(probe, NEWEST) !== undefined).toBe(model.has(hex));
          const sorted = [...model.keys()].toSorted(byBytes);
          expect(harness.table.keys).toBe(sorted.length);
          expect(harness.walk(undefined, false)).toEqual(sorted);
          expect(harness.walk(undefined, true)).toEqual(sorted.toReversed());
          expect(harness.walk(probe, false)).toEqual(sorted.filter((key) => byBytes(key, hex) >= 0));
          expect(harness.walk(probe, true)).toEqual(sorted.filter((key) => byBytes(key, hex) < 0).toReversed());
        },
      ),
      { numRuns: 150 },
    );
  });

  test('keeps what the newest snapshot can see, and only then', () => {
    const harness = new Harness();
    const key = Buffer.from('k');
    harness.put(key, Buffer.from('1'), 1);
    harness.put(key, Buffer.from('2'), 2);
    expect(harness.find(key, 1)).toBeUndefined();
    harness.table.newestSnapshot = 2;
    harness.put(key, Buffer.from('3'), 3);
    harness.put(key, undefined, 4);
    expect(Buffer.from(harness.find(key, 2)!.value!).toString()).toBe('2');
    expect(harness.find(key, 3)?.value).toEqual(harness.find(key, 2)!.value);
    expect(harness.find(key, NEWEST)).toEqual({ value: undefined });
    harness.table.newestSnapshot = -1;
    harness.put(key, Buffer.from('5'), 5);
    expect(harness.find(key, 4)).toBeUndefined();
    expect(Buffer.from(harness.find(key, NEWEST)!.value!).toString()).toBe('5');
  });

  test('keeps what an older snapshot can see when a newer one, which kept versions in between, is released', () => {
    const harness = new Harness();
    const key = Buffer.from('k');
    for (let sequence = 1; sequence <= 4; sequence++) {
      harness.put(key, Buffer.from(String(sequence)), sequence);
      harness.table.newestSnapshot = sequence;
    }
    harness.table.newestSnapshot = 1;
    harness.put(key, Buffer.from('5'), 5);
    expect(Buffer.from(harness.find(key, 1)!.value!).toString()).toBe('1');
    expect(harness.find(key, 4)?.value).toEqual(harness.find(key, 1)!.value);
    expect(Buffer.from(harness.find(key, NEWEST)!.value!).toString()).toBe('5');
  });

  test('takes a range of keys out, whatever shape the tree has, and goes on', () => {
    fc.assert(
      fc.property(
        fc.array(keys, { minLength: 1, maxLength: 400, size: 'max' }),
        fc.array(fc.tuple(keys, keys, fc.array(keys, { maxLength: 20 })), { minLength: 1, maxLength: 4 }),
        (first, steps) => {
          const harness = new Harness();
          const model = new Map<string, Uint8Array | undefined>();
          let sequence = 0;
          const write = (key: Uint8Array): void => {
            const value = new Uint8Array([++sequence & 255]);
            harness.put(key, value, sequence);
            model.set(Buffer.from(key).toString('hex'), value);
          };
          for (const key of first) write(key);
          for (const [a, b, later] of steps) {
            const [start, end] = Buffer.compare(a, b) < 0 ? [a, b] : [b, a];
            harness.clear(start, end);
            const [low, high] = [Buffer.from(start).toString('hex'), Buffer.from(end).toString('hex')];
            for (const key of model.keys()) if (byBytes(key, low) >= 0 && byBytes(key, high) < 0) model.delete(key);
            const check = (): void => {
              const sorted = [...model.keys()].toSorted(byBytes);
              expect(harness.walk(undefined, false)).toEqual(sorted);
              expect(harness.walk(undefined, true)).toEqual(sorted.toReversed());
              expect(harness.walk(a, false)).toEqual(sorted.filter((key) => byBytes(key, Buffer.from(a).toString('hex')) >= 0));
              for (const key of [...first, start, end]) {
                const hex = Buffer.from(key).toString('hex');
                expect(harness.find(key, NEWEST)).toEqual(model.has(hex) ? { value: model.get(hex) } : undefined);
              }
            };
            check();
            for (const key of later) write(key);
            check();
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('takes ranges out of full nodes of every size', () => {
    for (const children of [4, 16, 48, 256]) {
      for (const [from, to] of [
        [0, children],
        [1, children],
        [0, children - 1],
        [1, 3],
        [children - 2, children - 1],
      ] as const) {
        const harness = new Harness();
        for (let byte = 0; byte < children; byte++) harness.put(new Uint8Array([1, byte, 9]), new Uint8Array([byte]), byte + 1);
        harness.put(new Uint8Array([1]), new Uint8Array([0]), 500);
        harness.clear(new Uint8Array([1, from]), to === 256 ? new Uint8Array([2]) : new Uint8Array([1, to]));
        const left = [...Array(children).keys()].filter((byte) => byte < from || byte >= to);
        expect(harness.walk(undefined, false)).toEqual(['01', ...left.map((byte) => Buffer.from([1, byte, 9]).toString('hex'))]);
        for (let byte = 0; byte < children; byte++) harness.put(new Uint8Array([1, byte, 9]), new Uint8Array([byte]), 1000 + byte);
        expect(harness.walk(undefined, true)).toHaveLength(children + 1);
      }
    }
  });

  test('grows through every node size', () => {
    const harness = new Harness();
    for (let byte = 0; byte < 256; byte++) {
      harness.put(new Uint8Array([1, (byte * 37) & 255, 9]), new Uint8Array([byte]), byte + 1);
      for (let seen = 0; seen <= byte; seen += 17) {
        expect(harness.find(new Uint8Array([1, (seen * 37) & 255, 9]), NEWEST)).toEqual({ value: new Uint8Array([seen]) });
      }
      expect(harness.walk(undefined, byte % 2 === 0)).toHaveLength(byte + 1);
    }
    expect(harness.walk(undefined, false)).toEqual(Array.from({ length: 256 }, (_, byte) => Buffer.from([1, byte, 9]).toString('hex')));
  });

  test('gives its memory back', () => {
    const memory = new LinearMemory(64 * 1024 * 1024);
    // The lists of small pieces keep what the first of them took.
    new Memtable(memory, 1).free();
    const small = memory.allocateSmall(4096);
    memory.freeSmall(small, 4096);
    const before = memory.usedBytes;
    const table = new Memtable(memory, 1);
    table.reserve(5_000_000);
    table.addNodeChunk();
    expect(memory.usedBytes).toBeGreaterThan(before + 5_000_000);
    table.free();
    expect(memory.usedBytes).toBe(before);
  });
});
