/** Who is spoken with, and who is not. */
import { describe, expect, it } from 'vitest';
import {
  checkGreeting,
  decodeGreeting,
  encodeGreeting,
  type Greeting,
  greetingTo,
  type Identity,
} from '../../../server/transport/index.ts';
import { mutate } from '../../faults/mutate.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { hash } from './hash.ts';

const ME: Identity = { cluster: 0xfeedn, node: 1, incarnation: 9n };
const FROM_TWO: Greeting = { oldest: 1, newest: 1, cluster: 0xfeedn, from: 2, to: 1, incarnation: 5n };

describe('a greeting', () => {
  it('is the same after the way', () => {
    const greeting = { ...FROM_TWO, cluster: 2n ** 64n - 1n, incarnation: 2n ** 63n, newest: 7 };
    expect(decodeGreeting(encodeGreeting(greeting, hash), hash)).toEqual(greeting);
    expect(greetingTo(2, ME)).toMatchObject({ from: 1, to: 2, cluster: 0xfeedn, incarnation: 9n });
  });

  it.each([
    ['of a node that is meant is taken', {}, undefined],
    ['of a node that knows later formats too is taken', { newest: 9 }, undefined],
    ['of another cluster is refused', { cluster: 0xdeadn }, 'OTHER_CLUSTER'],
    ['that was meant for another node is refused', { to: 3 }, 'OTHER_NODE'],
    ['of another node than was called is refused', { from: 3 }, 'OTHER_NODE'],
    ['of a node that knows only later formats is refused', { oldest: 2, newest: 3 }, 'FORMAT_NEWER'],
    ['of a node that knows only earlier formats is refused', { oldest: 0, newest: 0 }, 'FORMAT_OLDER'],
  ])('%s', (_, other, code) => {
    const check = (): void => checkGreeting({ ...FROM_TWO, ...other }, ME, 2);
    if (code === undefined) check();
    else expect(check).toThrow(expect.objectContaining({ kind: 'invalid', code }));
  });

  it('says which clusters they are', () => {
    expect(() => checkGreeting({ ...FROM_TWO, cluster: 1n }, ME)).toThrow(
      'node 2 belongs to cluster 0000000000000001, this is node 1 of cluster 000000000000feed',
    );
  });

  it('is refused when it is none', () => {
    const sound = encodeGreeting(FROM_TWO, hash);
    for (let seed = 1; seed <= 2000; seed++) {
      const bytes = Buffer.from(mutate(sound, new SimRandom(seed)));
      if (bytes.equals(sound)) continue;
      expect(() => decodeGreeting(bytes, hash)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^PEER_(FORMAT|CHECK)$/) }));
    }
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(40), Buffer.from('GET / HTTP/1.1\r\n')]) {
      expect(() => decodeGreeting(bytes, hash)).toThrow('no greeting of a node');
    }
    expect(() => decodeGreeting(encodeGreeting({ ...FROM_TWO, from: 0 }, hash), hash)).toThrow('makes no sense');
  });
});
