import { expect, test } from 'vitest';
import { JobMemories } from '../../../engine/memory/job-memories.ts';

const MIB = 2 ** 20;

test('memories go from job to job, grow with what is asked for, and are let go of when too much was touched', () => {
  const memories = new JobMemories(32 * MIB);
  const first = memories.take(16 * MIB);
  const at = first.allocate(2 * MIB);
  first.u8[at] = 7;
  memories.give(first);
  const second = memories.take(128 * MIB);
  expect(second.memory).toBe(first.memory);
  expect(second.usedBytes).toBe(0);
  expect(second.u8.length).toBe(128 * MIB);
  // All of it is there, and a kernel of its own is bound to it.
  const far = second.allocate(60 * MIB);
  second.u8[far + 60 * MIB - 1] = 9;
  expect(second.kernel['pagesVerify']!(far, 0, 1, 0)).toBe(0);
  expect(second.touchedBytes).toBeGreaterThan(60 * MIB);
  memories.give(second);
  const third = memories.take(16 * MIB);
  expect(third.memory).not.toBe(first.memory);
  // Two at once are two.
  const fourth = memories.take(16 * MIB);
  expect(fourth.memory).not.toBe(third.memory);
  memories.give(third);
  memories.give(fourth);
  expect([memories.take(MIB * 16).memory, memories.take(MIB * 16).memory]).toEqual([fourth.memory, third.memory]);
});
