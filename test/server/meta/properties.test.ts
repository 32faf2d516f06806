/**
 * Whatever happens to a cluster: rules hold, nothing that somebody counts on is destroyed, indices are what they would be if made anew, and when nothing
 * happens any more the cluster comes to rest within its rules. More of it: `node test/server/meta/campaign.ts`. What that found is below, one list of events each.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plan } from '../../../server/meta/placement/index.ts';
import { begin, type Event } from './events.ts';
import { checkRest, PROPERTIES } from './whatever-happens.ts';

describe('placement', () => {
  it.each([3, 4])('keeps to its rules, and comes to rest, in %i zones', (zones) => {
    fc.assert(PROPERTIES[`rest-${zones}`]!(), { numRuns: 25, seed: 7, endOnFailure: true });
  });

  it('comes to rest though leaders report means, which are of the time before they led, too', () => {
    fc.assert(PROPERTIES['rest-means']!(), { numRuns: 10, seed: 13, endOnFailure: true });
  });

  it('has indices that are a function of what is recorded and reported', () => {
    fc.assert(PROPERTIES['indices']!(), { numRuns: 15, seed: 11, endOnFailure: true });
  });

  // Zones of unequal traffic: a node has its part of the pool's, and too much of its zone's.
  it.each<{ readonly zones: number; readonly events: readonly Event[] }>([
    {
      zones: 3,
      events: [
        { kind: 'size', shard: 7, bytes: 163_382_667 },
        { kind: 'traffic', shard: 16, rate: 9241 },
        { kind: 'traffic', shard: 22, rate: 19_167 },
        { kind: 'voters', count: 5 },
        { kind: 'pass', ticks: 16 },
        { kind: 'size', shard: 13, bytes: 31_772_398 },
        { kind: 'pass', ticks: 13 },
        { kind: 'pass', ticks: 38 },
      ],
    },
  ])('does not exchange two replicas for ever, by traffic and by bytes in turn', ({ zones, events }) => checkRest(zones, events, 0));

  it('does not hand a lead back and forth for ever, for its CPU and for its traffic', () => {
    const events: Event[] = [
      { kind: 'kill', node: 8 },
      { kind: 'pass', ticks: 2 },
      { kind: 'traffic', shard: 3, rate: 15259 },
      { kind: 'size', shard: 23, bytes: 53494290 },
      { kind: 'size', shard: 28, bytes: 209715198 },
      { kind: 'size', shard: 28, bytes: 189424670 },
      { kind: 'pass', ticks: 6 },
      { kind: 'voters', count: 5 },
      { kind: 'size', shard: 19, bytes: 51070572 },
      { kind: 'traffic', shard: 24, rate: 11051 },
      { kind: 'failOver' },
      { kind: 'traffic', shard: 19, rate: 29996 },
      { kind: 'heal' },
      { kind: 'traffic', shard: 0, rate: 17183 },
      { kind: 'traffic', shard: 3, rate: 5749 },
      { kind: 'pass', ticks: 2 },
    ];
    checkRest(3, events, 1);
  });

  it('fills a learner whose leader failed on the way as soon as somebody leads', () => {
    const events: Event[] = [
      { kind: 'voters', count: 1 },
      { kind: 'cancel' },
      { kind: 'revive', node: 1 },
      { kind: 'cancel' },
      { kind: 'failOver' },
      { kind: 'undrain', node: 1 },
      { kind: 'heal' },
      { kind: 'voters', count: 5 },
      { kind: 'slow', node: 1 },
      { kind: 'fail', shard: 0, member: 0, how: 'stopped' },
      { kind: 'traffic', shard: 0, rate: 0 },
      { kind: 'heal' },
      { kind: 'cancel' },
      { kind: 'fail', shard: 15, member: 0, how: 'stopped' },
    ];
    checkRest(3, events, 1);
  });

  it('plans the same for the same state', () => {
    const { world } = begin(3);
    world.kill(5);
    world.ticks(90);
    expect(plan(world.cluster, world.nowMs)).toEqual(plan(world.cluster, world.nowMs));
  });
});
