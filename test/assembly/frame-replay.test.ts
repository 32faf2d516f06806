/** Frames that recovery takes in one call, against the twin: whole logs, torn ones, damaged ones, with what the host must look at in between. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  FLAG_EXPIRES,
  FRAME_HEADER_BYTES,
  FRONT,
  KIND_DELETE,
  KIND_POINTER,
  KIND_PUT,
  KIND_RANGE_DELETE,
  RECORD_HEADER_BYTES,
  STACKS,
} from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { Memtable } from '../../engine/memtable/index.ts';
import { replayTwin, type TwinRecord } from './twins/frame-replay.ts';

const SEGMENT = 7;
const NEWEST = 2n ** 53n - 1n;

interface Operation {
  readonly kind: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly expires: boolean;
}

interface Batch {
  readonly operations: readonly Operation[];
  readonly payloadBytes: number;
  readonly syncedTo: number;
}

/** What a writer leaves: frames sealed by the kernel, each batch with the next sequence. */
function imageOf(memory: LinearMemory, batches: readonly Batch[]): Uint8Array {
  const { u8, view, kernel } = memory;
  const parts: Uint8Array[] = [];
  batches.forEach(({ operations, payloadBytes, syncedTo }, i) => {
    const records = Buffer.concat(operations.map((operation) => recordOf(operation, i + 1)));
    const frame = memory.allocate(FRAME_HEADER_BYTES + records.length);
    u8.set(records, frame + FRAME_HEADER_BYTES);
    kernel['sealFrame']!(frame, records.length, payloadBytes, syncedTo, operations.length, SEGMENT);
    expect(view.getUint32(frame + 8, true)).toBe(records.length);
    parts.push(u8.slice(frame, frame + FRAME_HEADER_BYTES + records.length), new Uint8Array(payloadBytes));
    memory.free(frame, FRAME_HEADER_BYTES + records.length);
  });
  return Uint8Array.from(Buffer.concat(parts));
}

function recordOf({ kind, key, value, expires }: Operation, sequence: number): Buffer {
  const body = kind === KIND_DELETE ? new Uint8Array(0) : value;
  const expiry = Buffer.alloc(expires && (kind === KIND_PUT || kind === KIND_POINTER) ? 8 : 0, 1);
  if (expiry.length > 0) expiry.fill(0, 6);
  const stored = Buffer.concat([expiry, kind === KIND_POINTER ? Buffer.alloc(24, 3) : body]);
  const record = Buffer.alloc((RECORD_HEADER_BYTES + key.length + stored.length + 7) & ~7);
  record.writeUInt32LE(stored.length, 0);
  record.writeUInt16LE(key.length, 4);
  record[6] = kind;
  record[7] = expiry.length > 0 ? FLAG_EXPIRES : 0;
  record.writeBigUInt64LE(BigInt(sequence), 8);
  record.set(key, RECORD_HEADER_BYTES);
  record.set(stored, RECORD_HEADER_BYTES + key.length);
  return record;
}

/** The newest record of every key, in order. */
function newest(records: readonly TwinRecord[]): TwinRecord[] {
  const byKey = new Map(records.map((record) => [record.key, record]));
  return [...byKey.values()].toSorted((a, b) => Buffer.compare(Buffer.from(a.key, 'hex'), Buffer.from(b.key, 'hex')));
}

class Recovery {
  readonly memory = new LinearMemory(64 * 1024 * 1024);
  readonly table = new Memtable(this.memory, SEGMENT);

  /** Puts the image where recovery reads it to, and takes what can be taken; adds chunks for nodes as long as that helps. */
  take(image: Uint8Array, skipTo: number, skippedBytes = 0): { bytes: number; syncedTo: number } {
    const { u8 } = this.memory;
    let at = this.table.reserve(skippedBytes + image.length + 64) + skippedBytes;
    u8.set(image, at);
    let left = image.length;
    let syncedTo = 0;
    for (let stuck = 0; stuck < 8;) {
      const step = this.table.replay(at, left, SEGMENT, skipTo);
      syncedTo = Math.max(syncedTo, step.syncedTo);
      at += step.bytes;
      left -= step.bytes;
      stuck = step.bytes > 0 ? 0 : stuck + 1;
      this.table.addNodeChunk();
    }
    return { bytes: image.length - left, syncedTo };
  }

  records(): TwinRecord[] {
    const { kernel, u8, view } = this.memory;
    const stack = FRONT + STACKS;
    const leafRecord = kernel['leafRecord'] as unknown as (leaf: number, sequence: bigint) => number;
    kernel['memtableSeek']!(this.table.address, stack, FRONT, 0);
    const found: TwinRecord[] = [];
    for (;;) {
      const leaf = kernel['memtableNext']!(stack) >>> 0;
      if (leaf === 0) return found;
      const at = leafRecord(leaf, NEWEST) >>> 0;
      const keyAt = at + RECORD_HEADER_BYTES;
      const valueAt = keyAt + view.getUint16(at + 4, true);
      const hex = (from: number, to: number): string => Buffer.from(u8.slice(from, to)).toString('hex');
      found.push({
        key: hex(keyAt, valueAt),
        kind: u8[at + 6]!,
        sequence: Number(view.getBigUint64(at + 8, true)),
        value: hex(valueAt, valueAt + view.getUint32(at, true)),
      });
    }
  }
}

function expectAsTwin(image: Uint8Array, skipTo: number, skippedBytes = 0): void {
  const twin = replayTwin(image, SEGMENT, skipTo);
  const recovery = new Recovery();
  const { bytes, syncedTo } = recovery.take(image, skipTo, skippedBytes);
  expect([bytes, syncedTo]).toEqual([twin.bytes, twin.syncedTo]);
  expect(recovery.records()).toEqual(newest(twin.records));
  expect(recovery.table.records).toBe(twin.records.length);
  expect(recovery.table.lastSequence).toBe(Math.max(0, ...twin.records.map(({ sequence }) => sequence)));
}

const key = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => bytes.map((byte) => byte % 5));
const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constantFrom(KIND_PUT, KIND_PUT, KIND_PUT, KIND_DELETE, KIND_POINTER),
  key,
  value: fc.uint8Array({ maxLength: 60 }),
  expires: fc.boolean(),
});
const rangeDelete: fc.Arbitrary<Operation> = key.map((from) => ({
  kind: KIND_RANGE_DELETE,
  key: from,
  value: new Uint8Array([9]),
  expires: false,
}));
const batch: fc.Arbitrary<Batch> = fc.record({
  operations: fc.oneof(
    { arbitrary: fc.array(operation, { minLength: 1, maxLength: 8 }), weight: 20 },
    { arbitrary: fc.array(fc.oneof(operation, rangeDelete), { minLength: 1, maxLength: 4 }), weight: 1 },
  ),
  payloadBytes: fc.oneof({ arbitrary: fc.constant(0), weight: 30 }, { arbitrary: fc.constantFrom(8, 64), weight: 1 }),
  syncedTo: fc.nat(4000),
});
const log = fc.array(batch, { maxLength: 40, size: 'max' });

describe('memtableReplay', () => {
  test('takes what the twin takes: whole frames, up to the first that the host must look at', () => {
    fc.assert(
      fc.property(log, fc.nat(20), fc.nat(3), (batches, skipTo, gap) => {
        expectAsTwin(imageOf(new LinearMemory(16 * 1024 * 1024), batches), skipTo, gap * 8);
      }),
      { numRuns: 150 },
    );
  });

  test('stops in front of what is torn, at any length', () => {
    const batches = [1, 2, 3].map((count) => ({
      operations: Array.from({ length: count }, (_, i) => ({
        kind: KIND_PUT,
        key: new Uint8Array([count, i]),
        value: new Uint8Array(20).fill(i),
        expires: i === 1,
      })),
      payloadBytes: 0,
      syncedTo: 1024 * count,
    }));
    const image = imageOf(new LinearMemory(16 * 1024 * 1024), batches);
    for (let length = 0; length <= image.length; length++) expectAsTwin(image.slice(0, length), 0);
  });

  test('takes nothing of a frame in which any bit is wrong, and nothing behind it', () => {
    const batches = [1, 2, 1].map((count) => ({
      operations: Array.from({ length: count }, (_, i) => ({
        kind: KIND_PUT,
        key: new Uint8Array([count, i, 7]),
        value: new Uint8Array(5).fill(i),
        expires: false,
      })),
      payloadBytes: 0,
      syncedTo: 0,
    }));
    const image = imageOf(new LinearMemory(16 * 1024 * 1024), batches);
    const recovery = new Recovery();
    expect(recovery.take(image, 0).bytes).toBe(image.length);
    for (let at = 0; at < image.length; at++) {
      for (const bit of [1, 128]) {
        const damaged = Uint8Array.from(image);
        damaged[at]! ^= bit;
        const taken = replayTwin(damaged, SEGMENT, 0).bytes;
        expect(taken).toBeLessThanOrEqual(at);
        expectAsTwin(damaged, 0);
      }
    }
  });

  test('a record that no writer makes is not taken, though its frame is sound', () => {
    const memory = new LinearMemory(16 * 1024 * 1024);
    const good = { kind: KIND_PUT, key: new Uint8Array([1]), value: new Uint8Array([1]), expires: false };
    const image = imageOf(memory, [
      { operations: [good], payloadBytes: 0, syncedTo: 0 },
      { operations: [{ ...good, kind: 5 }], payloadBytes: 0, syncedTo: 0 },
    ]);
    expectAsTwin(image, 0);
    expect(replayTwin(image, SEGMENT, 0).bytes).toBe(image.length / 2);
  });
});
