/** How busy a node says that its machine is. */
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeLoadMeter } from '../../server/node-load.ts';
import { processIoBytes } from '../../server/process-io.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-load-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function meterOf(ioBytes: () => number | undefined): NodeLoadMeter {
  const log = { stats: () => ({ syncs: 0 }), syncMs: () => undefined } as unknown as ConstructorParameters<typeof NodeLoadMeter>[1];
  return new NodeLoadMeter(directory, log, ioBytes);
}

describe('the load of a node', () => {
  it('has the bytes that the process moved since the look before, for a second', async () => {
    let moved = 1_000_000;
    const beganMs = performance.now();
    const meter = meterOf(() => moved);
    await new Promise((resolve) => setTimeout(resolve, 20));
    moved += 5_000_000;
    const { ioBytesPerSecond } = meter.take();
    const seconds = (performance.now() - beganMs) / 1000;
    expect(ioBytesPerSecond).toBeGreaterThanOrEqual(5_000_000 / seconds - 1);
    expect(ioBytesPerSecond).toBeLessThanOrEqual(5_000_000 / 0.015);
    expect(meter.take().ioBytesPerSecond).toBe(0);
  });

  it('counts of the disk what is used and what it may use, as df does', () => {
    const meter = meterOf(() => undefined);
    const { diskUsedBytes, diskFreeBytes } = meter.take();
    const { blocks, bavail, bsize } = statfsSync(directory);
    expect(Math.abs(meter.diskBytes - diskUsedBytes - diskFreeBytes)).toBeLessThan(2 ** 30);
    expect(Math.abs(diskFreeBytes - bavail * bsize)).toBeLessThan(2 ** 30);
    expect(meter.diskBytes).toBeLessThanOrEqual(blocks * bsize);
  });

  it('says nothing of bytes where the system does not', () => {
    const meter = meterOf(() => undefined);
    expect(meter.take().ioBytesPerSecond).toBe(0);
  });
});

describe('what the process has read and written', () => {
  it('is what the system counts of disks', () => {
    const path = join(directory, 'io');
    writeFileSync(path, 'rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 5\n');
    expect(processIoBytes(path)).toBe(12_288);
    writeFileSync(path, 'rchar: 1\n');
    expect(processIoBytes(path)).toBeUndefined();
    expect(processIoBytes(join(directory, 'none'))).toBeUndefined();
  });

  it.runIf(process.platform === 'linux')('is told of this process', () => {
    expect(processIoBytes()).toBeGreaterThanOrEqual(0);
  });
});
