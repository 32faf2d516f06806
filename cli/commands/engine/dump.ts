/** `sparrowkv engine dump PATH`: what is in a file of a store, or in all of them. */
import type { Command } from 'commander';

import type { DumpItem, DumpOptions } from '../../../engine/index.ts';
import { parseCount } from '../../client-command.ts';
import { EXIT_NOT_FOUND } from '../../exit.ts';
import { escapeBytes } from '../../terminal/escape.ts';
import { Output } from '../../terminal/output.ts';
import { showKey, toJson } from './show.ts';

const HELP = `
PATH is a store's directory, or one of its files: CURRENT, MANIFEST-*, *.table, *.log, *.block. Keys of
keyspaces other than the default one have the keyspace's number in front. Works on a store in use too,
as it is on the disk at the moment. Exits with 1 when it comes across damage.

Examples:
  sparrowkv engine dump ./data/engine --limit 3
  sparrowkv engine dump ./data/engine/000012.table --entries
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
  for (const item of engine.dump(path, rest)) {
    if (item.item === 'damage') process.exitCode = EXIT_NOT_FOUND;
    await output.write(json === true ? toJson(item) : `${line(item)}\n`);
  }
  await output.finish();
}

function line(item: DumpItem): string {
  switch (item.item) {
    case 'file':
      return `${item.file}: ${item.kind}, ${item.bytes} bytes`;
    case 'current':
      return `  names ${item.manifest}`;
    case 'edit':
      return `  ${item.offset} edit ${toJson(item.edit).trimEnd()}`;
    case 'segment':
      return `  segment ${item.segment}${item.previousSegment > 0 ? ` behind segment ${item.previousSegment} of ${item.previousBytes} bytes` : ''}${item.sealed ? ', sealed' : ''}`;
    case 'batch':
      return `  ${item.offset} batch ${item.sequence}, ${item.records} records, ${item.bytes} bytes, ${item.payloadBytes} of them large values; on disk up to ${item.syncedTo}`;
    case 'footer':
      return `  footer: ${item.pages} pages, index ${item.indexBytes} bytes, filter ${item.filterBytes} bytes`;
    case 'properties':
      return `  ${item.entries} entries, ${item.tombstones} deletes, ${item.distinctKeys} keys, sequences ${item.minSequence} to ${item.maxSequence}`;
    case 'page':
      return `  ${item.offset} page ${item.page}, ${item.entries} entries, ${showKey(item.first)} to ${showKey(item.last)}`;
    case 'record':
    case 'entry':
      return `    ${showKey(item)} @${item.sequence} ${item.operation}${shownValue(item)}`;
    case 'block file':
      return `  block file ${item.segment}`;
    case 'end':
      return `  ${item.offset} ${item.what}`;
    case 'damage':
      return `  ${item.offset} DAMAGED: ${item.what}`;
  }
}

function shownValue({ value, pointer }: Extract<DumpItem, { item: 'entry' }> | Extract<DumpItem, { item: 'record' }>): string {
  if (pointer) return ` -> segment ${pointer.segment} at ${pointer.offset}, ${pointer.bytes} bytes`;
  if (value === undefined) return '';
  const shown = escapeBytes(value.subarray(0, VALUE_SHOWN));
  return ` = ${shown}${value.length > VALUE_SHOWN ? `... (${value.length} bytes)` : ''}`;
}
