/** `sparrowkv table create|alter|drop|undelete`. */
import { type Command, Option } from 'commander';

import { SparrowError } from '../../../client/index.ts';
import { argumentBytes, type KeyOptions, parseCount, withEscapesOption } from '../../client-command.ts';
import { type DryRunOptions, parseDuration, parseSize, withDryRun, withMeta, withMetaOptions } from '../../meta-command.ts';
import { plural } from '../../terminal/progress.ts';
import { tableText } from './show.ts';

const CREATE_HELP = `
Without --hash or --split-at it is one of ranges, and has one shard. Answers when every shard has a leader.

Examples:
  sparrowkv table create orders --hash 8
  sparrowkv table create users --split-at g --split-at n --replicas 5
`;
const ALTER_HELP = `
Only what is named changes, while the table is in use.

Examples:
  sparrowkv table alter users --replicas 5
  sparrowkv table alter users --pool fast --rename people
  sparrowkv table alter sessions --durability os --ttl 12h
`;
const DROP_HELP = `
The table is not found from then on. Its data stay for a day, or for --keep, and "undelete" brings it back
until then.

Examples:
  sparrowkv table drop orders
  sparrowkv table drop orders --keep 7d
`;

interface SettingsOptions extends DryRunOptions {
  replicas?: number;
  learners?: number;
  witnesses?: number;
  pool?: string;
  inline?: number;
  durability?: string;
  ttl?: number;
  maxBytes?: number;
  maxReads?: number;
  maxWrites?: number;
}

interface CreateOptions extends SettingsOptions, KeyOptions {
  hash?: number;
  splitAt?: string[];
}

interface AlterOptions extends SettingsOptions {
  rename?: string;
}

interface DropOptions extends DryRunOptions {
  keep?: number;
}

/** Of the time that the command has, so much is left for the answer to arrive. */
const ANSWER_MS = 1000;

export function addTableChanges(table: Command): void {
  const create = withSettings(verb(table, 'create', 'make a table', CREATE_HELP))
    .option('--hash <shards>', 'spread keys over so many shards by their hash: 1, 2, 4 ... 1024', parseCount)
    .option('--split-at <key>', 'a shard begins at this key; may be given several times, in order', collect);
  withEscapesOption(create, 'keys of --split-at').action(createTable);
  withSettings(verb(table, 'alter', 'change what a table is like', ALTER_HELP))
    .option('--rename <name>', 'its name from now on')
    .action(alterTable);
  verb(table, 'drop', 'drop a table', DROP_HELP)
    .option('--keep <time>', 'how long it can be undeleted: 90s, 15m, 12h, 7d', parseDuration)
    .action((name: string, options: DropOptions) =>
      withMeta(options, async (meta) => {
        const found = await meta.dropTable({ name, undeleteMs: options.keep, dryRun: options.dryRun === true });
        const until = new Date(found.undeleteUntilMs).toISOString();
        const what = options.dryRun === true ? 'would be dropped' : 'is dropped';
        return { found, text: `table ${name} ${what}; until ${until}: sparrowkv table undelete ${name}\n` };
      }),
    );
  withMetaOptions(table.command('undelete').argument('<name>', 'that it had').description('bring back a table that was dropped'))
    .option('--as <name>', 'a new name, when the old one is taken')
    .action((name: string, options: DryRunOptions & { as?: string }) =>
      withMeta(options, async (meta) => {
        const found = await meta.undeleteTable({ name, newName: options.as ?? '' });
        return { found, text: `table ${found.name} is back\n` };
      }),
    );
}

function verb(table: Command, name: string, description: string, help: string): Command {
  const command = table.command(name).argument('<name>', 'of the table').description(description).addHelpText('after', help);
  return withDryRun(withMetaOptions(command, 'the table as it is then, as JSON'));
}

function withSettings(command: Command): Command {
  return command
    .option('--replicas <count>', 'voters of each shard: 1, 3 or 5 (default: 3, or as many as there are nodes)', parseCount)
    .option('--learners <count>', 'replicas without a vote, beside those', parseCount)
    .option('--witnesses <count>', 'replicas that vote and have no data, beside those', parseCount)
    .option('--pool <name>', 'of the nodes that have its replicas (default: default)')
    .option('--inline <size>', 'values from this size on lie outside of the index; 0: as the engine does', parseSize)
    .option('--max-bytes <size>', 'what the table may have, one copy of it; 0: any', parseSize)
    .option('--max-reads <count>', 'how many keys of it may be read each second; 0: any', parseCount)
    .option('--max-writes <count>', 'how many of its keys may be written each second; 0: any', parseCount)
    .option('--ttl <time>', 'values live for so long after their put: 90s, 15m, 12h, 7d; 0: they stay', parseDuration)
    .addOption(
      new Option(
        '--durability <when>',
        "writes are answered when a majority has them on disk (synced, the default), or in its system's cache (os)",
      ).choices(['synced', 'os']),
    );
}

async function createTable(name: string, options: CreateOptions): Promise<void> {
  const { hash, splitAt } = options;
  if (hash !== undefined && splitAt !== undefined) {
    throw new SparrowError('invalid', 'OPTION_CONFLICT', '--hash and --split-at exclude each other: keys are spread by hash or by ranges', {
      field: 'hash',
    });
  }
  await withMeta(options, async (meta) => {
    const answer = await meta.createTable({
      name,
      partitioning:
        hash !== undefined
          ? { $case: 'hash', value: { shards: hash } }
          : { $case: 'range', value: { splitKeys: (splitAt ?? []).map((key) => Buffer.from(argumentBytes(key, options))) } },
      replicas: options.replicas ?? 0,
      pool: options.pool ?? '',
      ttlMs: options.ttl ?? 0,
      durability: options.durability ?? '',
      inlineThreshold: options.inline ?? 0,
      quotas: { bytes: options.maxBytes ?? 0, readsPerSecond: options.maxReads ?? 0, writesPerSecond: options.maxWrites ?? 0 },
      learners: options.learners ?? 0,
      witnesses: options.witnesses ?? 0,
      dryRun: options.dryRun === true,
      waitMs: Math.max(ANSWER_MS, options.timeout * 1000 - ANSWER_MS),
    });
    const facts = answer.table!;
    const where = answer.shards
      .map(({ shard, replicas }) => `  shard ${shard} on nodes ${replicas.map(({ node }) => node).join(', ')}\n`)
      .join('');
    const head = options.dryRun === true ? 'would be made:\n' : `table ${name} is there, with ${plural(answer.shards.length, 'shard')}:\n`;
    return { found: { ...facts, shardEntries: answer.shards }, text: `${head}${where}` };
  });
}

async function alterTable(name: string, options: AlterOptions): Promise<void> {
  const { rename, replicas, ttl, durability, inline, maxBytes, maxReads, maxWrites, pool, learners, witnesses } = options;
  const quotas = { bytes: maxBytes, readsPerSecond: maxReads, writesPerSecond: maxWrites };
  const changes = { newName: rename, replicas, ttlMs: ttl, durability, inlineThreshold: inline, pool, learners, witnesses };
  if ([...Object.values(changes), ...Object.values(quotas)].every((each) => each === undefined))
    throw new SparrowError('invalid', 'OPTION_MISSING', 'nothing is to change: name --replicas, --pool or another setting', {});
  await withMeta(options, async (meta) => {
    const found = await meta.alterTable({ name, ...changes, quotas, dryRun: options.dryRun === true });
    return { found, text: `${options.dryRun === true ? 'would be:\n' : ''}${tableText(found)}` };
  });
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}
