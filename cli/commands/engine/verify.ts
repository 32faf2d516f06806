/** `sparrowkv engine verify DIR`. */
import type { Command } from 'commander';

import { EXIT_NOT_FOUND, EXIT_OK } from '../../exit.ts';
import { formatBytes, plural } from '../../terminal/progress.ts';
import { findingLines, print, toJson, watched } from './show.ts';
import { storeDirectory } from './store-directory.ts';

const HELP = `
Reads every byte that counts and compares it with its checksum: manifest, tables with every key and
large value, the log. Changes nothing. A "problem" is damage; a "notice" is harmless, such as the torn
end that a crash leaves. Exits with 1 when there are problems.
`;

export function addVerify(engine: Command): void {
  engine
    .command('verify <dir>')
    .description('tell whether a store is whole')
    .option('--json', 'the whole report, as JSON')
    .addHelpText('after', HELP)
    .action((directory: string, { json }: { json?: boolean }) => verify(directory, json === true));
}

async function verify(given: string, json: boolean): Promise<void> {
  const directory = await storeDirectory(given);
  const engine = await import('../../../engine/index.ts');
  await watched('verifying', async (watch) => {
    const report = await engine.verify(directory, watch);
    const { problems, problemCount, notices, noticeCount, tables, entries, values, logSegments, batches, bytes } = report;
    const totals = [
      plural(tables, 'table'),
      plural(entries, 'entry', 'entries'),
      plural(values, 'large value'),
      plural(logSegments, 'log segment'),
      plural(batches, 'batch', 'batches'),
    ];
    const verdict = report.sound ? `${directory} is whole` : `${directory} is damaged: ${plural(problemCount, 'problem')}`;
    await print(
      json
        ? toJson(report, 2)
        : `${findingLines('problem', problems, problemCount)}${findingLines('notice', notices, noticeCount)}${verdict} (${totals.join(', ')}; ${formatBytes(bytes)} read)\n`,
    );
    return report.sound ? EXIT_OK : EXIT_NOT_FOUND;
  });
}
