import { expect, it } from 'vitest';
import { liveWithLosses } from './lost-ends.ts';

/** More: SPARROWKV_LOST_END_SEEDS=1000 npx vitest run test/server/node/lost-ends.test.ts */
const SEEDS = Number(process.env['SPARROWKV_LOST_END_SEEDS'] ?? 4);

it('members that lose the ends of their logs break no promise', { timeout: 60_000 * SEEDS }, async () => {
  let lost = 0;
  let written = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const found = await liveWithLosses(seed);
    lost += found.lost;
    written += found.written;
  }
  expect(lost).toBeGreaterThan(3 * SEEDS);
  expect(written).toBeGreaterThan(100 * SEEDS);
});
