/** Made-up tables and comparable versions for the manifest's tests. */
import { snapshotEdit, type Version } from '../../../engine/manifest/index.ts';
import type { TableMeta } from '../../../engine/table/index.ts';

export const key = (text: string): Uint8Array => new TextEncoder().encode(text);

export function table(fileId: number, smallest: string, largest: string, more: Partial<TableMeta> = {}): TableMeta {
  return {
    fileId,
    bytes: 8192 + fileId,
    pages: 1,
    entries: 10,
    tombstones: 1,
    smallest: key(smallest),
    largest: key(largest),
    minSequence: fileId * 10,
    maxSequence: fileId * 10 + 9,
    references: [],
    densePages: 0,
    pinnedBytes: 0,
    clearedTo: 0,
    ...more,
  };
}

/** All that makes up a version, as text: equal for equal versions. */
export function describeVersion(version: Version): string {
  const hex = (_: string, value: unknown): unknown => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value);
  return JSON.stringify([snapshotEdit(version), [...version.segments].sort(([a], [b]) => a - b)], hex);
}

/** File ids by level, as far down as there are any. */
export function fileIds(version: Version): number[][] {
  const levels = version.levels.map((tables) => tables.map((each) => each.fileId));
  while (levels.at(-1)?.length === 0) levels.pop();
  return levels;
}
