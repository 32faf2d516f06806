/** What an import or an export did, in a line. */
import { formatRate, plural } from '../terminal/progress.ts';
import type { ExportResult } from './export-tree.ts';
import type { ImportResult } from './import-tree.ts';

export function importSummary(result: ImportResult, elapsedMs: number): string {
  const { files, bytes, chunkedFiles, links, emptyDirectories, problems } = result;
  return withExtras(formatRate(files, bytes, elapsedMs), [
    [chunkedFiles, `${plural(chunkedFiles, 'large one', 'large ones')} in chunks`],
    [links, plural(links, 'link')],
    [emptyDirectories, plural(emptyDirectories, 'empty directory', 'empty directories')],
    [problems, `${plural(problems, 'item')} LEFT OUT`],
  ]);
}

export function exportSummary(result: ExportResult, elapsedMs: number): string {
  const { files, bytes, links, emptyDirectories, unfinishedFiles, problems } = result;
  return withExtras(formatRate(files, bytes, elapsedMs), [
    [links, plural(links, 'link')],
    [emptyDirectories, plural(emptyDirectories, 'empty directory', 'empty directories')],
    [unfinishedFiles, `passed over ${plural(unfinishedFiles, 'file')} of imports that did not finish`],
    [problems, `${plural(problems, 'item')} LEFT OUT`],
  ]);
}

function withExtras(text: string, extras: readonly [count: number, text: string][]): string {
  const shown = extras.filter(([count]) => count > 0).map(([, extra]) => extra);
  return shown.length === 0 ? text : `${text}; ${shown.join(', ')}`;
}
