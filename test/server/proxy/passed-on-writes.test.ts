/** Writes that a node passes on take no more memory than it is set, whoever is slow to take them. */
import { expect, it } from 'vitest';
import { NO_LIMIT } from '../../../server/node/index.ts';
import { PassedOnWrites } from '../../../server/proxy/passed-on-writes.ts';

it('writes are passed on while there is room, the next in order as others end, and no further ones are received meanwhile', async () => {
  const writes = new PassedOnWrites({ bytesMax: 100, waitingMax: 2 });
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const relieved: boolean[] = [];
  writes.room.onRelieved(() => relieved.push(writes.room.congested));
  const pass = (id: number, bytes: number): Promise<number> =>
    writes.enter(bytes, NO_LIMIT, async () => {
      begun.push(id);
      await new Promise<void>((resolve) => ends.push(resolve));
      if (id === 2) throw new Error('it is not taken');
      return id;
    });
  const first = pass(1, 60);
  const second = pass(2, 60);
  const third = pass(3, 30);
  await expect(pass(4, 1)).rejects.toMatchObject({ kind: 'exhausted', code: 'OVERLOADED' });
  expect(writes.room.congested).toBe(true);
  expect(begun).toEqual([1]);
  ends[0]!();
  expect(await first).toBe(1);
  expect(begun).toEqual([1, 2, 3]);
  expect(relieved).toEqual([false]);
  ends[1]!();
  await expect(second).rejects.toThrow('it is not taken');
  ends[2]!();
  expect(await third).toBe(3);
  const alone = pass(5, 1000);
  await Promise.resolve();
  expect(begun.at(-1)).toBe(5);
  ends[3]!();
  expect(await alone).toBe(5);
});
