/** Writes that a node passes on take no more memory than it is set, whoever is slow to take them. */
import { expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import type { GetRequest, PutRequest } from '../../../proto/index.ts';
import { NO_LIMIT } from '../../../server/node/index.ts';
import { SdkTables } from '../../../server/proxy/index.ts';
import { PassedOnWrites } from '../../../server/proxy/passed-on-writes.ts';
import { resolveSettings } from '../../../server/settings.ts';

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

it('writes that wait for room when the server closes are refused and not passed on, as are those that come; what was passed on is answered', async () => {
  const writes = new PassedOnWrites({ bytesMax: 100, waitingMax: 10 });
  const begun: number[] = [];
  let end: () => void = () => undefined;
  const pass = (id: number): Promise<number> =>
    writes.enter(80, NO_LIMIT, async () => {
      begun.push(id);
      await new Promise<void>((resolve) => (end = resolve));
      return id;
    });
  const first = pass(1);
  const waits = [pass(2), pass(3)];
  const closing = new SparrowError('unavailable', 'SHUTTING_DOWN', 'it closes', { applied: false });
  writes.close(closing);
  for (const each of waits) await expect(each).rejects.toBe(closing);
  await expect(pass(4)).rejects.toBe(closing);
  expect(writes.room.congested).toBe(false);
  end();
  expect(await first).toBe(1);
  expect(begun).toEqual([1]);
  writes.close(closing);
});

it('tables that are closed pass nothing on, and connect to nobody', async () => {
  const asked: string[] = [];
  const settings = resolveSettings({ data: '/nowhere' });
  const tables = new SdkTables(() => (asked.push('addresses'), ['127.0.0.1:1']), undefined, settings);
  tables.close();
  const put = { key: Buffer.from('k'), value: Buffer.from('v') } as PutRequest;
  await expect(tables.put(put, NO_LIMIT)).rejects.toMatchObject({ code: 'SHUTTING_DOWN', details: { applied: false } });
  expect(() => tables.get({ key: put.key } as GetRequest, NO_LIMIT)).toThrow('the server is shutting down');
  expect(asked).toEqual([]);
});
