/** What this process has read from and written to disks since it began, bytes together, as the system counts it (not what its caches answered). Used by node-load.ts. */
import { readFileSync } from 'node:fs';

const PATH = '/proc/self/io';

/** Undefined: the system does not tell, or not this process. */
export function processIoBytes(path: string = PATH): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
  const read = /^read_bytes: (\d+)$/m.exec(text);
  const written = /^write_bytes: (\d+)$/m.exec(text);
  return read === null || written === null ? undefined : Number(read[1]) + Number(written[1]);
}
