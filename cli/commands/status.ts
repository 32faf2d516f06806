/** `sparrowkv status`. */
import type { Command } from 'commander';

import type { ServerStatus } from '../../client/index.ts';
import { type ServerOptions, withClient, withServerOptions } from '../client-command.ts';
import { EXIT_OK } from '../exit.ts';
import { formatBytes, formatCount } from '../terminal/progress.ts';
import { Output } from '../terminal/output.ts';

const HELP = `
Exits with 3 when the server cannot be reached.

Examples:
  sparrowkv status
  sparrowkv status --json
`;

/** Further ones are counted. */
const UNWELL_SHOWN_MAX = 20;

export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .description('tell how the server is doing')
    .option('--json', 'all figures, as JSON')
    .addHelpText('after', HELP);
  withServerOptions(command).action((options: ServerOptions & { json?: boolean }) => status(options));
}

async function status(options: ServerOptions & { json?: boolean }): Promise<void> {
  const output = new Output(process.stdout);
  await withClient(options, async ({ client, call }) => {
    const answer = await client.status(call);
    await output.write(options.json === true ? `${JSON.stringify(answer, null, 2)}\n` : table(rows(answer, options.server)));
    await output.finish();
    return EXIT_OK;
  });
}

function rows(status: ServerStatus, address: string): [string, string][] {
  const { replica, engine, shards } = status;
  const shown: [string, string][] = [
    ['server', `${address}, version ${status.version}, process ${status.processId}, up ${duration(status.uptimeMs)}`],
    ['data', status.dataDirectory],
    ['memory', `${formatBytes(status.residentBytes)} resident`],
    ['clients', `${formatCount(status.connections)} connected, ${formatCount(status.callsInFlight)} calls in flight`],
  ];
  if (replica !== undefined) {
    const role = ['unknown', 'follower', 'candidate', 'leader'][replica.role] ?? 'unknown';
    shown.push(
      [
        'replica',
        `${replica.id}, ${role} in term ${formatCount(replica.term)}${replica.stoppedBecause === '' ? '' : `, STOPPED: ${replica.stoppedBecause}`}`,
      ],
      ['log', `applied ${formatCount(replica.appliedIndex)} of ${formatCount(replica.lastIndex)}, ${formatBytes(replica.logBytes)}`],
      ['writes', `${formatCount(replica.writesInFlight)} in flight, ${formatBytes(replica.writeBytesInFlight)}`],
    );
  }
  if (engine !== undefined) {
    const tables = engine.levels.reduce((sum, level) => sum + level.tables, 0);
    shown.push(
      [
        'engine',
        `${formatBytes(engine.diskBytes)} on disk, ${formatCount(tables)} tables, ${formatBytes(engine.memtableBytes)} in the memtable`,
      ],
      ['values', `${formatBytes(engine.liveValueBytes)} live in ${formatBytes(engine.valueFileBytes)} of value files`],
      [
        'since start',
        `${formatCount(engine.puts)} puts, ${formatCount(engine.gets)} gets, ${formatBytes(engine.userBytes)} written by users`,
      ],
    );
  }
  if (shards !== undefined) {
    const { replicas, leading, asleep, unwellCount, unwell } = shards;
    shown.push(['shards', `${formatCount(replicas)} here, ${formatCount(leading)} led, ${formatCount(asleep)} asleep`]);
    for (const { shard, state, why } of unwell.slice(0, UNWELL_SHOWN_MAX))
      shown.push([`shard ${shard}`, `${state.toUpperCase()}${why === '' ? '' : `: ${why}`}`]);
    if (unwellCount > UNWELL_SHOWN_MAX)
      shown.push(['', `${formatCount(unwellCount - UNWELL_SHOWN_MAX)} more are not well; --json has up to a hundred`]);
  }
  return shown;
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, text]) => `${name.padEnd(width)}${text}\n`).join('');
}

function duration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const from = parts.findIndex(([count]) => count > 0);
  if (from < 0) return '0 s';
  return parts
    .slice(from, from + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}
