/** A table whose making outlives the lead of the metaserver: whoever asked for it is answered when it is there. */
import { expect, it } from 'vitest';
import { SparrowError } from '../../base/errors.ts';
import type { CallRunner } from '../../client/call-runner.ts';
import { resolveConnectOptions } from '../../client/connect-options.ts';
import { CREATE_TABLE, type Method } from '../../client/methods.ts';
import { ClientTables } from '../../client/tables.ts';

const LOST = new SparrowError('unavailable', 'META_LEAD_LOST', 'table t is there, its shards come', { applied: true });

/** `lists`: what is told of the table each time that somebody asks, the last one again and again. */
function tablesOver(lists: readonly string[], refusal: SparrowError): ClientTables {
  let nowMs = 0;
  let asked = 0;
  const calls = {
    metaRoute: {},
    surroundings: {
      clock: { monotonicMs: () => nowMs },
      scheduler: {
        after(ms: number, task: () => void) {
          nowMs += ms;
          queueMicrotask(task);
        },
      },
    },
    run(method: Method<never, unknown>): Promise<unknown> {
      if ((method as unknown) === CREATE_TABLE) return Promise.reject(refusal);
      const state = lists[Math.min(asked++, lists.length - 1)]!;
      const table = { table: 3, name: 't', partitioning: 'hash', shards: 4, state, undeleteUntilMs: 0 };
      return Promise.resolve({ tables: state === '' ? [] : [table] });
    },
  };
  return new ClientTables(calls as unknown as CallRunner, resolveConnectOptions({}));
}

it('is waited for, while another node makes it', async () => {
  const made = await tablesOver(['', 'creating', 'creating', 'normal'], LOST).create('t', { partitioning: { hash: 4 } });
  expect(made).toMatchObject({ id: 3, name: 't', state: 'normal' });
});

it('is not waited for beyond the time of the call', async () => {
  await expect(tablesOver(['creating'], LOST).create('t', { timeoutMs: 2_000 })).rejects.toBe(LOST);
});

it('is not looked for when it was not made', async () => {
  const refused = new SparrowError('unavailable', 'META_LEAD_LOST', 'another node leads', { applied: false });
  await expect(tablesOver(['normal'], refused).create('t')).rejects.toBe(refused);
});
