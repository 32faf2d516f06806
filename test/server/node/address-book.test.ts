/** The address book, and a replica's state machine that keeps it, on an engine. */
import { expect, it } from 'vitest';
import { openInMemory } from '../../../engine/index.ts';
import { AddressBook, NODE_PREFIX } from '../../../server/node/address-book.ts';
import type { NodeAddress } from '../../../server/node/index.ts';

const at = (n: number): NodeAddress => ({ address: `10.0.0.${n}:7400`, peerAddress: `10.1.0.${n}:7401` });

it('is the same after it was written and loaded again', async () => {
  await using engine = await openInMemory();
  const book = new AddressBook(
    new Map([
      [1, at(1)],
      [2, at(2)],
    ]),
  );
  const batch: Parameters<AddressBook['begin']>[0] = [];
  book.begin(batch);
  book.set(3, at(3), batch);
  book.set(0xffffffff, { address: 'ä:1', peerAddress: '' }, batch);
  book.set(2, at(22), batch);
  book.remove([1], batch);
  await engine.write(batch);
  const again = new AddressBook(new Map([[9, at(9)]]));
  again.load(engine.scanSync({ prefix: NODE_PREFIX }));
  expect(again.nodes).toEqual(
    new Map([
      [2, at(22)],
      [3, at(3)],
      [0xffffffff, { address: 'ä:1', peerAddress: '' }],
    ]),
  );
  expect(again.nodes).toEqual(book.nodes);
  expect([...again.removed]).toEqual([1]);
  const begun: typeof batch = [];
  again.begins(3, begun);
  // Where a node is says nothing of its data.
  again.set(3, at(33), begun);
  for (const id of [1, 9]) again.begins(id, begun);
  await engine.write(begun);
  const third = new AddressBook(new Map());
  third.load(engine.scanSync({ prefix: NODE_PREFIX }));
  expect([[...third.begun], third.nodes.get(3)]).toEqual([[3, 9], at(33)]);
  // Where it is, this book does not say.
  expect(third.nodes.has(9)).toBe(false);
  again.remove([3], begun);
  expect([...again.begun]).toEqual([9]);
});

it('forgets a node that has no address, and never one that was removed', () => {
  const book = new AddressBook(new Map([[1, at(1)]]));
  book.set(1, { address: '', peerAddress: '' }, []);
  expect(book.nodes.size).toBe(0);
  book.remove([1], []);
  const { changes } = book;
  const batch: Parameters<AddressBook['begin']>[0] = [];
  book.set(1, at(1), batch);
  expect([book.nodes.size, [...book.removed], batch, book.changes]).toEqual([0, [1], [], changes]);
});

it('does not guess at records that are malformed', () => {
  const record = (key: number[], value: number[]): [Uint8Array, Uint8Array] => [Uint8Array.from(key), Uint8Array.from(value)];
  const key = [...NODE_PREFIX, 0, 0, 0, 1];
  for (const entry of [
    record(key, []),
    record(key, [1, 0, 2, 65]),
    record(key, [3]),
    record(key.slice(1), [2]),
    record([...NODE_PREFIX, 0, 0, 0, 0], [2]),
  ]) {
    expect(() => new AddressBook(new Map()).load([entry] as never)).toThrow(expect.objectContaining({ code: 'CORRUPT_STATE' }) as Error);
  }
});
