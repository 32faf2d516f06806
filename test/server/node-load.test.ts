/** How busy a node says that its machine is. */
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MachineCounts, NodeLoadMeter } from '../../server/node-load.ts';
import { processIoBytes } from '../../server/process-io.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-load-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** What the machine counts, as a test says. */
class Counts implements MachineCounts {
  atMs = 5000;
  busy = 70;
  all = 100;
  moved: number | undefined = 1_000_000;
  syncs = 3;

  readonly nowMs = (): number => this.atMs;
  readonly coreTimes = (): { busy: number; all: number } => ({ busy: this.busy, all: this.all });
  readonly ioBytes = (): number | undefined => this.moved;

  meter(): NodeLoadMeter {
    const log = { stats: () => ({ syncs: this.syncs }), syncMs: () => 4 } as unknown as ConstructorParameters<typeof NodeLoadMeter>[1];
    return new NodeLoadMeter(directory, log, this);
  }

  /** A second of four cores, so much of them busy. */
  pass(part: number, bytes: number, syncs: number): void {
    this.atMs += 1000;
    this.all += 4000;
    this.busy += 4000 * part;
    if (this.moved !== undefined) this.moved += bytes;
    this.syncs += syncs;
  }
}

describe('the load of a node', () => {
  it('is what has been for some ten seconds: cores, disk, bytes', () => {
    const counts = new Counts();
    const meter = counts.meter();
    for (let second = 0; second < 60; second++) {
      counts.pass(0.5, 2_000_000, 100);
      meter.take();
    }
    const { cpu, io, ioBytesPerSecond } = meter.take();
    expect(cpu).toBeCloseTo(0.5, 2);
    expect(io).toBeCloseTo(0.4, 2);
    expect(Math.abs(ioBytesPerSecond - 2_000_000)).toBeLessThan(20_000);
  });

  it('is not that of one busy second, nor of one that is idle', () => {
    const counts = new Counts();
    const meter = counts.meter();
    counts.pass(1, 50_000_000, 1000);
    const burst = meter.take();
    expect(burst.cpu).toBeCloseTo(0.1);
    expect(burst.io).toBeCloseTo(0.1);
    expect(burst.ioBytesPerSecond).toBe(5_000_000);
    for (let second = 0; second < 60; second++) {
      counts.pass(0.9, 0, 0);
      meter.take();
    }
    counts.pass(0, 0, 0);
    const { cpu, ioBytesPerSecond } = meter.take();
    expect(cpu).toBeGreaterThan(0.8);
    expect(ioBytesPerSecond).toBeLessThan(20_000);
  });

  it('is the same when a report is hurried, whatever the machine did in those few milliseconds', () => {
    const counts = new Counts();
    const meter = counts.meter();
    counts.pass(0.5, 2_000_000, 100);
    const { cpu, io, ioBytesPerSecond } = meter.take();
    counts.atMs += 3;
    counts.all += 40;
    counts.busy += 40;
    expect(meter.take()).toMatchObject({ cpu, io, ioBytesPerSecond });
    // Nothing of it is forgotten.
    counts.pass(0, 0, 0);
    expect(meter.take().cpu).toBeGreaterThan(0.9 * cpu);
  });

  it('counts of the disk what is used and what it may use, as df does', () => {
    const meter = new Counts().meter();
    const { diskUsedBytes, diskFreeBytes } = meter.take();
    const { blocks, bavail, bsize } = statfsSync(directory);
    expect(Math.abs(meter.diskBytes - diskUsedBytes - diskFreeBytes)).toBeLessThan(2 ** 30);
    expect(Math.abs(diskFreeBytes - bavail * bsize)).toBeLessThan(2 ** 30);
    expect(meter.diskBytes).toBeLessThanOrEqual(blocks * bsize);
  });

  it('says nothing of bytes where the system does not', () => {
    const counts = new Counts();
    counts.moved = undefined;
    const meter = counts.meter();
    counts.pass(0, 0, 0);
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
