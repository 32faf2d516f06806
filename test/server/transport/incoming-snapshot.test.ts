/** A snapshot that arrives, on a disk that dies at every operation: complete only when all of it is durable and what was sent. */
import { describe, expect, it } from 'vitest';
import { xxh64 } from '../../../base/xxh64.ts';
import { type IncomingParts, IncomingSnapshot, type SnapshotHead } from '../../../server/transport/index.ts';
import { CRASH_MODES } from '../../sim/sim-file.ts';
import { PowerLoss, SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { createHash, hash } from './hash.ts';

const DIRECTORY = '/incoming';
const CHUNK = 1000;

const CONTENTS: readonly (readonly [string, Uint8Array])[] = [
  ['000001.table', bytesOf(2500, 1)],
  ['CURRENT', bytesOf(16, 2)],
  ['empty', new Uint8Array(0)],
  ['MANIFEST-000003', bytesOf(1000, 3)],
];

function bytesOf(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  new SimRandom(seed).fill(bytes);
  return bytes;
}

function head(id = 'one'): SnapshotHead {
  const configuration = { voters: [1, 2, 3], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false };
  const files = CONTENTS.map(([name, { length }]) => ({ name, bytes: length }));
  return { group: 7, term: 3, snapshot: { index: 100, term: 2, configuration }, id, files };
}

const partsOf = (fileSystem: SimFileSystem): IncomingParts => ({ fileSystem, directory: DIRECTORY, hash, createHash });

function checkOf(bytes: Uint8Array): bigint {
  const { high, low } = xxh64(bytes, 0, bytes.length, 0);
  return (BigInt(high) << 32n) | BigInt(low);
}

/** Everything from where the sink is. Returns how many bytes that were. */
async function receive(incoming: IncomingSnapshot, until = Infinity): Promise<number> {
  let bytes = 0;
  while (!incoming.complete) {
    const { file, offset } = incoming.position;
    const [, contents] = CONTENTS[file]!;
    if (offset < contents.length) {
      if (bytes >= until) return bytes;
      const chunk = contents.subarray(offset, offset + CHUNK);
      incoming.write(chunk);
      bytes += chunk.length;
    } else {
      await incoming.endFile(checkOf(contents));
    }
  }
  await incoming.finish();
  return bytes;
}

const TOTAL = CONTENTS.reduce((sum, [, { length }]) => sum + length, 0);

function expectWhole(disk: SimFileSystem): void {
  for (const [name, contents] of CONTENTS) expect(Buffer.from(disk.contents(`${DIRECTORY}/files/${name}`))).toEqual(Buffer.from(contents));
}

describe('a snapshot that arrives', () => {
  it('is complete when all is there, and can be found again', async () => {
    const disk = new SimFileSystem();
    expect(IncomingSnapshot.found(partsOf(disk))).toBeUndefined();
    const incoming = await IncomingSnapshot.open(partsOf(disk), head());
    expect(IncomingSnapshot.found(partsOf(disk))).toEqual({ head: head(), whole: 0, complete: false });
    expect(await receive(incoming)).toBe(TOTAL);
    expect(disk.openFiles).toEqual([]);
    disk.crash('none');
    expect(IncomingSnapshot.found(partsOf(disk))).toEqual({ head: head(), whole: 4, complete: true });
    expect(IncomingSnapshot.filesOf(DIRECTORY)).toBe(`${DIRECTORY}/files`);
    expectWhole(disk);
    // Once more: nothing is left to be done.
    const again = await IncomingSnapshot.open(partsOf(disk), { ...head(), term: 4 });
    expect(again.position).toEqual({ file: 4, offset: 0 });
    await again.finish();
    IncomingSnapshot.discard(disk, DIRECTORY);
    expect(IncomingSnapshot.found(partsOf(disk))).toBeUndefined();
  });

  it('goes on at the byte at which it broke', async () => {
    const disk = new SimFileSystem();
    const first = await IncomingSnapshot.open(partsOf(disk), head());
    await receive(first, 2000);
    first.close();
    const second = await IncomingSnapshot.open(partsOf(disk), head());
    expect(second.position).toEqual({ file: 0, offset: 2000 });
    expect(await receive(second)).toBe(TOTAL - 2000);
    expectWhole(disk);
  });

  it('is begun anew when it is another', async () => {
    const disk = new SimFileSystem();
    const first = await IncomingSnapshot.open(partsOf(disk), head());
    await receive(first, 3000);
    first.close();
    const second = await IncomingSnapshot.open(partsOf(disk), head('two'));
    expect(second.position).toEqual({ file: 0, offset: 0 });
    expect(await receive(second)).toBe(TOTAL);
    expect(IncomingSnapshot.found(partsOf(disk))).toMatchObject({ head: { id: 'two' }, complete: true });
  });

  it('fetches a file anew that is not what was sent', async () => {
    const disk = new SimFileSystem();
    const incoming = await IncomingSnapshot.open(partsOf(disk), head());
    await receive(incoming, 2000);
    incoming.write(new Uint8Array(500));
    const check = checkOf(CONTENTS[0]![1]);
    await expect(incoming.endFile(check)).rejects.toMatchObject({
      kind: 'corrupt',
      code: 'SNAPSHOT_CHECK',
      details: { file: '000001.table' },
    });
    expect(incoming.position).toEqual({ file: 0, offset: 0 });
    incoming.write(CONTENTS[0]![1].subarray(0, 100));
    await expect(incoming.endFile(check)).rejects.toMatchObject({ code: 'SNAPSHOT_CHECK' });
    expect(() => incoming.write(new Uint8Array(2501))).toThrow('more than that arrive');
    await expect(incoming.finish()).rejects.toMatchObject({ code: 'SNAPSHOT_CHECK' });
    await receive(incoming);
    expectWhole(disk);
  });

  it('is not there any more when its files were taken to their place', async () => {
    const disk = new SimFileSystem();
    await receive(await IncomingSnapshot.open(partsOf(disk), head()));
    for (const [name] of CONTENTS) disk.unlinkSync(`${DIRECTORY}/files/${name}`);
    expect(IncomingSnapshot.found(partsOf(disk))).toBeUndefined();
    expect(await receive(await IncomingSnapshot.open(partsOf(disk), head()))).toBe(TOTAL);
  });

  it.each(CRASH_MODES)('after a loss of power at any operation is gone on with or nothing, disk keeps: %s', async (mode) => {
    const operations = await wholeLife(new SimFileSystem());
    const found = { nothing: 0, begun: 0, complete: 0 };
    for (let at = 1; at <= operations; at++) {
      for (const seed of mode === 'random' || mode === 'torn' ? [1, 2, 3] : [1]) {
        const disk = new SimFileSystem({ seed: seed * 1000 + at });
        disk.killAt(at);
        await expect(wholeLife(disk)).rejects.toThrow(PowerLoss);
        disk.crash(mode);
        const there = IncomingSnapshot.found(partsOf(disk));
        if (there?.complete) {
          found.complete++;
          expectWhole(disk);
        } else found[there === undefined ? 'nothing' : 'begun']++;
        // Died in between or not: it can be received to its end, and is on the disk then.
        await receiveUntilWhole(disk);
        disk.crash('none');
        expect(IncomingSnapshot.found(partsOf(disk))).toMatchObject({ head: { id: 'one' }, complete: true });
        expectWhole(disk);
      }
    }
    expect(Math.min(found.nothing, found.begun)).toBeGreaterThan(2);
    // Only the sync of the last record, the last operation, makes it complete.
    if (mode === 'all') expect(found.complete).toBeGreaterThan(0);
  });

  it.each(['EIO', 'ENOSPC'] as const)('after %s at any operation is nothing that is believed, and can be received again', async (error) => {
    const operations = await wholeLife(new SimFileSystem());
    let failed = 0;
    for (let at = 1; at <= operations; at++) {
      const disk = new SimFileSystem();
      disk.failAt({ at, error });
      try {
        await wholeLife(disk);
      } catch (failure) {
        failed++;
        expect((failure as { code: string }).code).toMatch(/EIO|ENOSPC|DISK_FULL/);
      }
      disk.failAt();
      expect(disk.openFiles).toEqual([]);
      const there = IncomingSnapshot.found(partsOf(disk));
      if (there?.complete) expectWhole(disk);
      await receiveUntilWhole(disk);
      disk.crash('none');
      expectWhole(disk);
    }
    expect(failed).toBe(operations);
  });

  it('touches nothing any more when it was given up while the disk was busy', async () => {
    const disk = new SimFileSystem();
    const first = await IncomingSnapshot.open(partsOf(disk), head());
    const [, contents] = CONTENTS[0]!;
    first.write(contents);
    const ended = first.endFile(checkOf(contents));
    first.close();
    const second = await IncomingSnapshot.open(partsOf(disk), head('another'));
    await expect(ended).rejects.toMatchObject({ code: 'SNAPSHOT_GIVEN_UP' });
    await receive(second);
    expect(IncomingSnapshot.found(partsOf(disk))).toMatchObject({ head: { id: 'another' }, complete: true });
    expectWhole(disk);
  });
});

/** Takes the place of another snapshot, breaks once, and is received. Returns how many operations that took. */
async function wholeLife(disk: SimFileSystem): Promise<number> {
  const other = await IncomingSnapshot.open(partsOf(disk), head('another'));
  try {
    await receive(other, 3000);
  } finally {
    other.close();
  }
  const first = await IncomingSnapshot.open(partsOf(disk), head());
  try {
    await receive(first, 1000);
  } finally {
    first.close();
  }
  const second = await IncomingSnapshot.open(partsOf(disk), head());
  try {
    await receive(second);
  } finally {
    second.close();
  }
  return disk.operations;
}

/** A file that power loss has spoilt is found by its check, and sent again. */
async function receiveUntilWhole(disk: SimFileSystem): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt++) {
    const incoming = await IncomingSnapshot.open(partsOf(disk), head());
    try {
      await receive(incoming);
      return;
    } catch (error) {
      expect(error).toMatchObject({ code: 'SNAPSHOT_CHECK' });
    } finally {
      incoming.close();
    }
  }
  throw new Error('it was not received');
}
