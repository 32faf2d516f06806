/** `sparrowkv cluster policy [show|set|reset]`: by which bounds the metaserver decides. */
import { type Command, InvalidArgumentError } from 'commander';

import type { ClusterPolicyBound } from '../../../client/index.ts';
import {
  type DryRunOptions,
  durationText,
  parseDuration,
  parseSize,
  sizeText,
  withDryRun,
  withMeta,
  withMetaOptions,
} from '../../meta-command.ts';
import { table } from '../../terminal/columns.ts';
import { addHelp } from '../help.ts';

const HELP = `
How large or busy a shard is split at, how small two are merged, how long a silent node is waited for, how
many copies go on at a time, ... docs/placement.md says why each is what it is. They hold for the whole
cluster, from the moment on, whoever leads.

A value is a number; of names in Bytes, BytesMin or BytesMax also a size such as 64M, of names in Ms also a
time such as 90s, 15m or 12h. Several are changed together or not at all.

Examples:
  sparrowkv cluster policy
  sparrowkv cluster policy set splitBytes=256M splitBytesMax=384M
  sparrowkv cluster policy set downAfterMs=2h --dry-run
  sparrowkv cluster policy reset splitBytes splitBytesMax
`;

interface Setting {
  readonly name: string;
  readonly value: number;
}

export function addPolicy(cluster: Command): void {
  const policy = cluster.command('policy').description('show or change by which bounds the metaserver decides').addHelpText('after', HELP);
  withMetaOptions(policy.command('show', { isDefault: true }).description('tell all of them, and what they may be')).action(
    (options: DryRunOptions) => ask(options, {}),
  );
  const collected = (text: string, before: Setting[] = []): Setting[] => [...before, parseSetting(text)];
  changing(policy.command('set').argument('<name=value...>', 'what is to be changed', collected).description('change some of them')).action(
    (set: Setting[], options: DryRunOptions) => ask(options, { set }),
  );
  changing(policy.command('reset').argument('<name...>', 'what is to be as it was').description('back to the defaults')).action(
    (reset: string[], options: DryRunOptions) => ask(options, { reset }),
  );
  addHelp(policy);
}

function changing(command: Command): Command {
  return withDryRun(withMetaOptions(command));
}

function ask(options: DryRunOptions, change: { set?: Setting[]; reset?: string[] }): Promise<void> {
  return withMeta(options, async (meta) => {
    const bounds = await meta.policy({ ...change, dryRun: options.dryRun === true });
    const named = new Set([...(change.set ?? []).map(({ name }) => name), ...(change.reset ?? [])]);
    return { found: bounds, text: policyText(named.size === 0 ? bounds : bounds.filter(({ name }) => named.has(name))) };
  });
}

/** `name=value`, in the unit that the name says. */
export function parseSetting(text: string): Setting {
  const [, name, value] = /^([A-Za-z]+)=(\S+)$/.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw new InvalidArgumentError(`NAME=VALUE is asked for, such as splitBytes=128M, not '${text}'.`);
  const number = Number(value);
  if (Number.isFinite(number)) return { name, value: number };
  if (isTime(name)) return { name, value: parseDuration(value) };
  if (isBytes(name)) return { name, value: parseSize(value) };
  throw new InvalidArgumentError(`${name} takes a number, not '${value}'; names in Ms take times, too, and names in Bytes sizes.`);
}

/** Exported for its test. */
export function policyText(bounds: readonly ClusterPolicyBound[]): string {
  const rows = bounds.map(({ name, value, defaultValue, min, max }) => {
    const text = (number: number): string => valueText(name, number);
    return [
      name,
      text(value),
      value === defaultValue ? '-' : text(defaultValue),
      max >= Number.MAX_SAFE_INTEGER ? `from ${text(min)}` : `${text(min)} to ${text(max)}`,
    ];
  });
  return table(['name', 'value', 'default', 'may be'], rows);
}

/** As `set` takes it. */
function valueText(name: string, value: number): string {
  return isTime(name) ? durationText(value) : isBytes(name) ? sizeText(value) : String(value);
}

function isTime(name: string): boolean {
  return name.endsWith('Ms');
}

function isBytes(name: string): boolean {
  return /Bytes(?:Min|Max)?$/.test(name);
}
