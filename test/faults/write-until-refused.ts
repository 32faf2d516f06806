/**
 * Run by failed-sync.ts: writes synced batches to the store in argv[2] until one is refused; then every later one must be, and reads go on.
 * Prints the number of each that is acknowledged, and at the end why it stopped: OPENING or the error's code.
 */
import { writeSync } from 'node:fs';
import { open, SparrowError } from '../../engine/index.ts';
import { batchOf, KILL_SETTINGS } from '../crash/kill-batches.ts';

const say = (line: string | number): void => void writeSync(1, `${line}\n`);

const engine = await open(process.argv[2]!, KILL_SETTINGS).catch((error: unknown) => {
  // Of the system, or the log's or manifest's own.
  if ((error as { code?: unknown }).code !== 'EIO' && (error as { code?: unknown }).code !== 'WRITER_FAILED') throw error;
  say('OPENING');
  process.exit(0);
});
let next = engine.sequence + 1;
let refused: SparrowError | undefined;
while (!refused) {
  const numbers = [next++, next++, next++];
  const writes = await Promise.allSettled(numbers.map((number) => engine.write(batchOf(number), { durability: 'synced' })));
  for (const [i, write] of writes.entries()) {
    if (write.status === 'fulfilled') say(numbers[i]!);
    else if (write.reason instanceof SparrowError && write.reason.kind === 'closed') refused = write.reason;
    else throw write.reason;
  }
}
for (let i = 0; i < 5; i++) {
  const late = await engine.write(batchOf(next), { durability: i % 2 === 0 ? 'synced' : 'os' }).then(
    () => 'acknowledged',
    (error: unknown) => (error as SparrowError).kind,
  );
  if (late !== 'closed') throw new Error(`a write after a failed sync was answered with: ${late}`);
}
if (engine.getSync('last') === undefined && next > 4) throw new Error('what was written is not there any more');
await engine.close().catch(() => undefined);
say(refused.code);
