/** Reads the small sections of a table file (table-format.ts), which say where the rest is and what it holds. */
import type { File, FileSystem } from '../../base/env.ts';
import type { ReadableFile } from '../open-files.ts';
import {
  corruptTable,
  decodeFooter,
  decodeProperties,
  tableMeta,
  FOOTER_BYTES,
  tableFileName,
  tableLayout,
  type TableFooter,
} from './table-format.ts';
import type { TableMeta } from './table-meta.ts';

/** `corrupt/CORRUPT_TABLE` when the file is missing. Other failures keep the operating system's code. */
export function openTableFile(fileSystem: FileSystem, path: string): File {
  try {
    return fileSystem.openSync(path, 'read');
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ENOENT') throw corruptTable(path, 0, 'the file is missing', cause);
    throw cause;
  }
}

/** Reads exactly `target.length` bytes. */
export function readTableBytes(
  file: ReadableFile,
  path: string,
  target: Uint8Array,
  targetOffset: number,
  length: number,
  position: number,
): void {
  const got = file.readSync(target, targetOffset, length, position);
  if (got !== length) throw corruptTable(path, position + got, `the file ends there, ${length - got} bytes early`);
}

export function readFooter(file: ReadableFile, path: string, fileId: number): TableFooter {
  const fileBytes = file.sizeSync();
  if (fileBytes < FOOTER_BYTES) throw corruptTable(path, fileBytes, 'it is shorter than a footer');
  const bytes = new Uint8Array(FOOTER_BYTES);
  readTableBytes(file, path, bytes, 0, FOOTER_BYTES, fileBytes - FOOTER_BYTES);
  return decodeFooter(bytes, fileId, path, fileBytes);
}

/** What the manifest would say of a table file, from the file alone. */
export function readTableMeta(fileSystem: FileSystem, directory: string, fileId: number): TableMeta {
  const path = `${directory}/${tableFileName(fileId)}`;
  const file = openTableFile(fileSystem, path);
  try {
    const footer = readFooter(file, path, fileId);
    const layout = tableLayout(footer);
    const bytes = new Uint8Array(footer.propertiesBytes);
    readTableBytes(file, path, bytes, 0, bytes.length, layout.properties);
    return tableMeta(fileId, layout.fileBytes, footer.pages, decodeProperties(bytes, footer, path, layout.properties));
  } finally {
    file.closeSync();
  }
}
