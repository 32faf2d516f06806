/** Which tables are to lose their deletes. Pure. */
import type { TableMeta } from '../table/index.ts';

const DELETES_SHARE = 0.5;
/** A table of which this share of the pages is dense with deletes is one that scans waste time on. */
const DENSE_SHARE = 0.05;

/** Whether scans waste time on it. */
export function isFullOfDeletes({ densePages, pages, tombstones, entries }: TableMeta): boolean {
  return (densePages > 0 && densePages >= pages * DENSE_SHARE) || tombstones > entries * DELETES_SHARE;
}
