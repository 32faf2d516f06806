/** The memory of identified writes: what it answers as it goes on is what one that is loaded from its records answers. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Entry, HostedOperation } from '../../../engine/index.ts';
import { rememberedWrites, REQUEST_WINDOW, RequestTable } from '../../../server/node/request-table.ts';

const CLIENTS = ['a', 'ab', 'b'].map((name) => Buffer.from(name));
const client = fc.constantFrom(...CLIENTS);
/** Few slots, and several numbers for each. */
const sequence = fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 3 })).map(([slot, lap]) => 1 + slot + lap * REQUEST_WINDOW);
const write = fc.record({ client, sequence, result: fc.uint8Array({ maxLength: 6 }) });
const step = fc.oneof({ weight: 8, arbitrary: write }, { weight: 1, arbitrary: fc.array(write, { maxLength: 3 }) });

it('answers the same when it was loaded from its records, whoever writes in which order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const table = new RequestTable();
      const records = new Map<string, HostedOperation & { type: 'put' }>();
      let index = 2 ** 32;
      for (const next of steps) {
        const batch: HostedOperation[] = [];
        index++;
        if (Array.isArray(next)) table.adopt([...rememberedWrites(Array.from(next, (each) => recordOf(each, index)))], batch);
        else if (table.lookup({ ...next, seen: 0 }) === 'new') table.remember({ ...next, seen: 0 }, index, next.result, batch);
        for (const put of batch) if (put.type === 'put') records.set(Buffer.from(put.key).toString('latin1'), put);
        const loaded = new RequestTable();
        loaded.load(entriesOf([...records.values()]), undefined);
        expect(loaded.clients).toBe(table.clients);
        for (const each of CLIENTS) {
          for (let number = 1; number <= 3 + 3 * REQUEST_WINDOW; number += number % REQUEST_WINDOW === 3 ? REQUEST_WINDOW - 2 : 1) {
            const id = { client: each, sequence: number, seen: 0 };
            expect(table.lookup(id), `${each.toString()} ${number}`).toEqual(loaded.lookup(id));
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});

/** As another shard has it. */
function recordOf(each: { client: Uint8Array; sequence: number; result: Uint8Array }, index: number): Entry {
  const batch: HostedOperation[] = [];
  new RequestTable().remember({ ...each, seen: 0 }, index, each.result, batch);
  return entriesOf(batch)[0]!;
}

function entriesOf(batch: readonly HostedOperation[]): Entry[] {
  const puts = batch.filter((operation) => operation.type === 'put');
  const entries = puts.map(({ key, value }): Entry => [Uint8Array.from(key as Uint8Array), Uint8Array.from(value as Uint8Array)]);
  return entries.sort(([a], [b]) => Buffer.compare(a, b));
}
