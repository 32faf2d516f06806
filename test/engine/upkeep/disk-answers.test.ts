/** A disk that does not give what is asked of it has not damaged anything: whoever refuses what is damaged says so of damage alone. */
import { expect, it } from 'vitest';
import { createTableWriter, restore, SparrowError, verify } from '../../../engine/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { contentsOf, live, openStore, value } from './store-life.ts';

/** Does the work again and again, each time with the next of its reads failing, until none of them is left; what each failure was told as. */
async function failingReads(fs: SimFileSystem, work: (nth: number) => Promise<unknown>): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (let nth = 1; ; nth++) {
    fs.failAt({ at: fs.reads + nth, error: 'EIO', on: 'read' });
    try {
      await work(nth);
      return failures;
    } catch (error) {
      failures.push(error);
    } finally {
      fs.failAt();
    }
  }
}

function expectIoErrors(failures: readonly unknown[], least: number): void {
  expect(failures.length).toBeGreaterThan(least);
  for (const failure of failures) {
    expect(failure).toMatchObject({ code: 'EIO' });
    expect(failure).not.toBeInstanceOf(SparrowError);
  }
}

it('a backup of a store whose disk does not answer is refused with what the disk said, and is made when it does', async () => {
  const fs = new SimFileSystem();
  const engine = await openStore(fs, '/data');
  await live(engine);
  const failures = await failingReads(fs, (nth) => engine.backup(`/backups-${nth}`));
  expectIoErrors(failures, 10);
  expect(failures.some((failure) => (failure as Error).message.startsWith('/data/'))).toBe(true);
  await engine.close();
});

it('a restore from a disk that does not answer fails with what the disk said, also where a manifest is read', async () => {
  const fs = new SimFileSystem();
  const engine = await openStore(fs, '/data');
  await live(engine);
  await engine.backup('/backups');
  await engine.close();
  let made = 0;
  const failures = await failingReads(fs, (nth) => restore('/backups', `/restored-${(made = nth)}`, {}, { fileSystem: fs }));
  expectIoErrors(failures, 3);
  expect(await contentsOf(fs, `/restored-${made}`)).toEqual(await contentsOf(fs, '/data'));
});

it('an ingest from a disk that does not answer fails with what the disk said, and is done when it does', async () => {
  const fs = new SimFileSystem();
  const engine = await openStore(fs, '/data');
  const writer = createTableWriter('/made', { inlineThreshold: 512, tableBytes: 65536 }, { fileSystem: fs, random: new SimRandom(5) });
  for (let i = 0; i < 100; i++) writer.put(`bulk/${String(i).padStart(3, '0')}`, value(i, i % 10 === 0 ? 3000 : 200));
  writer.finish();
  expectIoErrors(await failingReads(fs, () => engine.ingest('/made')), 10);
  expect(engine.getSync('bulk/099')).toEqual(Uint8Array.from(value(99, 200)));
  await engine.close();
});

it('a report says of a file that cannot be read just that', async () => {
  const fs = new SimFileSystem();
  const engine = await openStore(fs, '/data');
  await live(engine);
  await engine.close();
  const whole = await verify('/data', {}, { fileSystem: fs });
  expect(whole.sound).toBe(true);
  let told = 0;
  for (let nth = 1; nth < 40; nth++) {
    fs.failAt({ at: fs.reads + nth, error: 'EIO', on: 'read' });
    const { problems } = await verify('/data', {}, { fileSystem: fs });
    fs.failAt();
    if (problems.some(({ what }) => what.includes('cannot be read'))) told++;
  }
  expect(told).toBeGreaterThan(10);
});
