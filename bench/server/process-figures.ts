/** What other processes cost, as the kernel accounts it to them (Linux; undefined elsewhere, and where a container hides it). */
import { readFileSync } from 'node:fs';

/** Linux counts CPU time for user space in hundredths of a second, whatever the kernel's own tick. */
const TICK_US = 10_000;

/** User and system time of all threads so far, microseconds. */
export function cpuUsOf(pid: number): number | undefined {
  // After the name in parentheses, which may hold spaces: state is the first field, utime and stime are the twelfth and thirteenth.
  const fields = read(pid, 'stat')?.split(') ')[1]?.split(' ');
  return fields && (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** Memory that it holds. */
export function rssBytesOf(pid: number): number | undefined {
  return kilobytes(pid, 'VmRSS');
}

/** Most memory that it has held. */
export function peakRssBytesOf(pid: number): number | undefined {
  return kilobytes(pid, 'VmHWM');
}

/** Bytes on their way to a disk: pages dirtied, each page once for each time that it is written back. */
export function bytesWrittenBy(pid: number): number | undefined {
  const match = /^write_bytes: (\d+)$/m.exec(read(pid, 'io') ?? '');
  return match ? Number(match[1]) : undefined;
}

/** Of several. Undefined when it is not known of one of them. */
export function sumOf(processIds: readonly number[], figure: (pid: number) => number | undefined): number | undefined {
  let sum = 0;
  for (const pid of processIds) {
    const value = figure(pid);
    if (value === undefined) return undefined;
    sum += value;
  }
  return sum;
}

function kilobytes(pid: number, name: string): number | undefined {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(read(pid, 'status') ?? '');
  return match ? Number(match[1]) * 1024 : undefined;
}

function read(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return undefined;
  }
}
