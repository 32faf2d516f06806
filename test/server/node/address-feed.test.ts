/** What the address book means for connections and for what clients are told. */
import { expect, it } from 'vitest';
import { AddressBook } from '../../../server/node/address-book.ts';
import { AddressFeed, type NodeAddress } from '../../../server/node/index.ts';
import { at } from './sim-group.ts';

class Fixture {
  readonly book: AddressBook;
  members = [1, 2, 3];
  readonly peers = new Map<number, string>();
  removals = 0;
  readonly feed: AddressFeed;

  constructor(beginning: ReadonlyMap<number, NodeAddress>) {
    this.book = new AddressBook(beginning);
    const addPeer = (id: number, address: string): void => void this.peers.set(id, address);
    const removePeer = (id: number): void => void this.peers.delete(id);
    this.feed = new AddressFeed({ node: 1, replica: () => this, links: { addPeer, removePeer }, onRemoved: () => this.removals++ });
    this.feed.refresh();
  }
}

const nodes = (...ids: number[]): Map<number, NodeAddress> => new Map(ids.map((id) => [id, at(id)]));

it('a node is connected with whom the book names, members or not, and clients are told the members', () => {
  const fixture = new Fixture(nodes(1, 2, 3));
  const { book, feed, peers } = fixture;
  expect(peers).toEqual(
    new Map([
      [2, at(2).peerAddress],
      [3, at(3).peerAddress],
    ]),
  );
  const { addresses } = feed;
  expect(addresses).toEqual(new Map([1, 2, 3].map((id) => [id, at(id).address])));
  book.set(4, at(4), []);
  book.set(2, at(22), []);
  feed.refresh();
  expect([peers.get(4), peers.get(2), [...addresses.keys()]]).toEqual([at(4).peerAddress, at(22).peerAddress, [1, 2, 3]]);
  book.remove([3], []);
  fixture.members = [1, 2, 4];
  feed.refresh();
  expect([[...peers.keys()], addresses.get(4), addresses.has(3), feed.addresses]).toEqual([[2, 4], at(4).address, false, addresses]);
  expect(fixture.removals).toBe(0);
});

it('what another node says stands in for what the book lacks, and never brings back who was removed', () => {
  const { book, feed, peers } = new Fixture(new Map());
  expect(peers.size).toBe(0);
  feed.learn(nodes(1, 2, 3));
  expect([...peers.keys()]).toEqual([2, 3]);
  feed.learn(nodes(2, 4));
  expect([...peers.keys()]).toEqual([2, 4]);
  book.set(2, at(22), []);
  book.remove([4], []);
  feed.learn(nodes(2, 4));
  expect([...peers]).toEqual([[2, at(22).peerAddress]]);
});

it('a node learns from its own log that it was removed, once', () => {
  const fixture = new Fixture(nodes(1, 2));
  fixture.book.remove([1], []);
  fixture.feed.refresh();
  fixture.feed.refresh();
  expect(fixture.removals).toBe(1);
  fixture.feed.end();
  fixture.feed.refresh();
  expect(fixture.peers.size).toBe(0);
});

it('clients are told the members in the order of their ids, whoever said where they are', () => {
  const { feed } = new Fixture(nodes(3, 2));
  feed.tell(nodes(3, 1));
  expect([...feed.addresses.keys()]).toEqual([1, 2, 3]);
  expect([...feed.nodes.keys()]).toEqual([1, 2, 3]);
});
