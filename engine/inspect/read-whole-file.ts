/** Reads a small file; what keeps it from being read is a finding. */
import type { FileSystem } from '../../base/env.ts';
import type { Findings } from './findings.ts';

export function readWholeFile(fileSystem: FileSystem, path: string, findings: Findings): Uint8Array | undefined {
  try {
    const file = fileSystem.openSync(path, 'read');
    try {
      const bytes = new Uint8Array(file.sizeSync());
      return bytes.subarray(0, file.readSync(bytes, 0, bytes.length, 0));
    } finally {
      file.closeSync();
    }
  } catch (error) {
    findings.caught(error, path);
    return undefined;
  }
}
