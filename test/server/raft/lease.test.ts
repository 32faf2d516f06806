/** How long a leader may read without asking: by when it spoke, not by when it was answered. */
import { expect, it } from 'vitest';
import { Lease } from '../../../server/raft/lease.ts';

it('a lease lasts from when the heartbeat left that was answered, less its margin', () => {
  const lease = new Lease({ durationMs: 1000, pauseMarginMs: 100 });
  lease.advance(0);
  lease.sent(1);
  lease.advance(300);
  lease.sent(2);
  lease.confirmed(1);
  lease.advance(899);
  expect(lease.valid).toBe(true);
  lease.advance(900);
  expect(lease.valid).toBe(false);
  // The answers to the second one come late, and are worth what is left of it.
  lease.confirmed(2);
  expect(lease.valid).toBe(true);
  lease.advance(1200);
  expect(lease.valid).toBe(false);
});
