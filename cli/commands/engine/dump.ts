/** `sparrowkv engine dump PATH`: what is in a file of a store, or in all of them. */
import type { Command } from 'commander';

import type { DumpItem, DumpOptions } from '../../../engine/index.ts';
import { parseCount } from '../../client-command.ts';
import { EXIT_NOT_FOUND } from '../../exit.ts';
import { escapeBytes } from '../../terminal/escape.ts';
import { Output } from '../../terminal/output.ts';
import { formatCount, plural } from '../../terminal/progress.ts';
import { showKey, toJson } from './show.ts';
import { storeDirectory } from './store-directory.ts';

const HELP = `
Where things lie in a file is said in bytes ("at 1024"); --json has all there is to tell of them.
PATH is a store's directory, or one of its files: CURRENT, MANIFEST-*, *.table, *.log, *.block. Keys of
keyspaces other than the default one have the keyspace's number in front. Works on a store in use too,
as it is on the disk at the moment. Exits with 1 when it comes across damage.

Examples:
  sparrowkv engine dump ./data --limit 3
  sparrowkv engine dump ./store/000012.table --entries
`;
const VALUE_SHOWN = 60;

export function addDump(engine: Command): void {
  engine
    .command('dump <path>')
    .description('show what is in the files of a store')
    .option('--entries', 'every entry and record, not only pages and batches')
    .option('--limit <count>', 'at most so many edits, pages or batches of a file', parseCount)
    .option('--json', 'one JSON object a line')
    .addHelpText('after', HELP)
    .action((path: string, options: { entries?: boolean; limit?: number; json?: boolean }) => dump(path, options));
}

async function dump(path: string, { json, ...rest }: DumpOptions & { json?: boolean }): Promise<void> {
  const engine = await import('../../../engine/index.ts');
  const output = new Output(process.stdout);
  for (const item of engine.dump(await storeDirectory(path), rest)) {
    if (item.item === 'damage') process.exitCode = EXIT_NOT_FOUND;
    await output.write(json === true ? toJson(item) : `${line(item)}\n`);
  }
  await output.finish();
}

function line(item: DumpItem): string {
  switch (item.item) {
    case 'file':
      return `${item.file}: ${item.kind}, ${plural(item.bytes, 'byte')}`;
    case 'current':
      return `  names ${item.manifest}`;
    case 'edit':
      return `  at ${item.offset}: edit ${toJson(item.edit).trimEnd()}`;
    case 'segment':
      return `  segment ${item.segment}${item.previousSegment > 0 ? ` behind segment ${item.previousSegment} of ${item.previousBytes} bytes` : ''}${item.sealed ? ', sealed' : ''}`;
    case 'batch':
      return `  at ${item.offset}: batch ${item.sequence}, ${plural(item.records, 'record')}, ${plural(item.bytes, 'byte')}${item.payloadBytes > 0 ? `, of which ${formatCount(item.payloadBytes)} are large values` : ''}; synced up to ${item.syncedTo}`;
    case 'footer':
      return `  ${plural(item.pages, 'page')}, index of ${plural(item.indexBytes, 'byte')}, filter of ${plural(item.filterBytes, 'byte')}`;
    case 'properties':
      return `  ${plural(item.entries, 'entry', 'entries')}, ${plural(item.tombstones, 'delete')} among them, of ${plural(item.distinctKeys, 'key')}, sequences ${item.minSequence} to ${item.maxSequence}`;
    case 'page':
      return `  at ${item.offset}: page ${item.page}, ${plural(item.entries, 'entry', 'entries')}, ${showKey(item.first)} to ${showKey(item.last)}`;
    case 'record':
    case 'entry':
      return `    ${showKey(item)} @${item.sequence} ${item.operation}${shownValue(item)}`;
    case 'block file':
      return `  block file ${item.segment}`;
    case 'end':
      return `  at ${item.offset}: ${item.what}`;
    case 'damage':
      return `  at ${item.offset}: DAMAGED: ${item.what}`;
  }
}

function shownValue({ value, pointer }: Extract<DumpItem, { item: 'entry' }> | Extract<DumpItem, { item: 'record' }>): string {
  if (pointer) return ` -> segment ${pointer.segment} at ${pointer.offset}, ${pointer.bytes} bytes`;
  if (value === undefined) return '';
  const shown = escapeBytes(value.subarray(0, VALUE_SHOWN));
  return ` = ${shown}${value.length > VALUE_SHOWN ? `... (${value.length} bytes)` : ''}`;
}
