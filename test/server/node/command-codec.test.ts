import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CommandCondition,
  type CommandOperation,
  decodeCommand,
  encodeDeleteRange,
  encodeNode,
  encodeWrite,
} from '../../../server/node/command-codec.ts';
import { engineKey } from '../../../server/node/index.ts';

const bytes = fc.uint8Array({ maxLength: 40 });
const key = fc.uint8Array({ minLength: 1, maxLength: 40 });
const number = fc.maxSafeNat();
const id = fc.option(fc.record({ client: fc.uint8Array({ minLength: 1, maxLength: 32 }), sequence: number, seen: number }), {
  nil: undefined,
});
const condition: fc.Arbitrary<CommandCondition> = fc.oneof(
  fc.record({ kind: fc.constant('absent' as const), key }),
  fc.record({ kind: fc.constant('value' as const), key, value: bytes }),
  fc.record({ kind: fc.constant('version' as const), key, version: number }),
);
const operation: fc.Arbitrary<CommandOperation> = fc.oneof(
  fc.record({ type: fc.constant('put' as const), key, value: bytes }),
  fc.record({ type: fc.constant('put' as const), key, value: bytes, expiresAtMs: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) }),
  fc.record({ type: fc.constant('delete' as const), key }),
);

const epoch = fc.nat({ max: 0xffffffff });
const now = fc.oneof(fc.constant(0), fc.maxSafeNat());

/** Bytes as plain arrays: decoded ones are views, Buffers or not. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
}

describe('commands', () => {
  it('of writes are read as they were written, keys with their prefix', () => {
    fc.assert(
      fc.property(id, fc.array(condition), fc.array(operation), epoch, now, (id, conditions, operations, epoch, nowMs) => {
        const command = decodeCommand(Uint8Array.from(encodeWrite(id, conditions, operations, epoch, nowMs)));
        const prefixed = <T extends { key: Uint8Array }>(item: T): T => ({ ...item, key: engineKey(item.key) });
        expect(plain(command)).toEqual(
          plain({ kind: 'write', epoch, nowMs, id, conditions: conditions.map(prefixed), operations: operations.map(prefixed) }),
        );
      }),
    );
  });

  it('of range deletes are read as they were written', () => {
    fc.assert(
      fc.property(id, bytes, bytes, fc.nat(), epoch, now, (id, start, end, limit, epoch, nowMs) => {
        expect(plain(decodeCommand(encodeDeleteRange(id, start, end, limit, epoch, nowMs)))).toEqual(
          plain({ kind: 'delete-range', epoch, nowMs, id, start, end, limit }),
        );
      }),
    );
  });

  it('of where nodes are, are read as they were written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffffffff }), fc.string(), fc.string(), (node, first, second) => {
        const known = { address: first.toWellFormed(), peerAddress: second.toWellFormed() };
        expect(decodeCommand(encodeNode(node, known))).toEqual({ kind: 'node', epoch: 0, id: undefined, node, known });
      }),
    );
    const none = encodeNode(1, { address: '', peerAddress: '' });
    none.writeUInt32LE(0, 4);
    expect(() => decodeCommand(none)).toThrow(expect.objectContaining({ code: 'CORRUPT_COMMAND' }) as Error);
  });

  it('that are damaged end in an error of their own, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(), fc.nat({ max: 255 }), (noise, at, value) => {
        const good = encodeWrite(
          { client: Buffer.from('c'), sequence: 1, seen: 0 },
          [{ kind: 'absent', key: Buffer.from('a') }],
          [{ type: 'put', key: Buffer.from('k'), value: noise }],
        );
        const node = encodeNode(7, { address: '10.0.0.7:7400', peerAddress: '' });
        good[at % good.length] = value;
        node[at % node.length] = value;
        for (const bytes of [good, node, noise, good.subarray(0, at % good.length), node.subarray(0, at % node.length)]) {
          try {
            decodeCommand(bytes);
          } catch (error) {
            expect(error).toMatchObject({ kind: 'corrupt', code: 'CORRUPT_COMMAND' });
          }
        }
      }),
    );
  });
});
