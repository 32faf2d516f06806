/** What can be said of block files as such: their length and their header. What is in them is checked by who refers to it. */
import type { FileSystem } from '../../base/env.ts';
import { BLOCK_HEADER_BYTES, blockFileName, encodeBlockHeader, valueFilePath } from '../compaction/index.ts';
import type { Version } from '../manifest/index.ts';
import type { Findings } from './findings.ts';

/** Reports files of the version that are shorter than the manifest says. One that is missing is reported by others. */
export function checkBlockFiles(fileSystem: FileSystem, directory: string, version: Version, findings: Findings): void {
  for (const [segment, { bytes, link }] of version.segments) {
    const path = valueFilePath(fileSystem, directory, segment);
    if (!fileSystem.existsSync(path)) continue;
    try {
      const file = fileSystem.openSync(path, 'read');
      const found = file.sizeSync();
      file.closeSync();
      const end = link?.end ?? bytes;
      if (found < end) findings.problem(path, found, `it ends here, ${end - found} bytes early`);
    } catch (error) {
      findings.caught(error, path);
    }
  }
}

/** Whether the file that compaction made for the segment begins as it should. */
export function hasBlockHeader(fileSystem: FileSystem, directory: string, segment: number): boolean {
  const file = fileSystem.openSync(`${directory}/${blockFileName(segment)}`, 'read');
  try {
    const found = new Uint8Array(BLOCK_HEADER_BYTES);
    return file.readSync(found, 0, found.length, 0) === found.length && Buffer.compare(found, encodeBlockHeader(segment)) === 0;
  } finally {
    file.closeSync();
  }
}

/** Writes the header of a block file anew; on disk when it returns. */
export function writeBlockHeader(fileSystem: FileSystem, directory: string, segment: number): void {
  const file = fileSystem.openSync(`${directory}/${blockFileName(segment)}`, 'write');
  try {
    file.writeSync(encodeBlockHeader(segment), 0, BLOCK_HEADER_BYTES, 0);
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
}
