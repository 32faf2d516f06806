/** What the commands that ask the metaserver have in common: a way to it, how what it says is printed as JSON, and how they end. */
import { type Command, InvalidArgumentError } from 'commander';

import { connectMeta, type MetaAdmin } from '../client/index.ts';
import { type ServerOptions, tlsOptions, withServerOptions } from './client-command.ts';
import { EXIT_OK } from './exit.ts';
import { listenForInterrupt } from './interrupt.ts';
import { escapeBytes } from './terminal/escape.ts';
import { Output } from './terminal/output.ts';

export interface MetaOptions extends ServerOptions {
  json?: boolean;
}

export interface DryRunOptions extends MetaOptions {
  dryRun?: boolean;
}

export function withMetaOptions(command: Command, json: string = 'all that is known, as JSON'): Command {
  return withServerOptions(command).option('--json', json);
}

export function withDryRun(command: Command): Command {
  return command.option('--dry-run', 'say only what would be done');
}

/** Runs a command with a way to the metaserver, and prints what it returns: `text` for people, or with --json `found`. */
export async function withMeta(
  options: MetaOptions,
  work: (meta: MetaAdmin, signal: AbortSignal) => Promise<{ found: unknown; text: string }>,
): Promise<void> {
  const addresses = options.server.split(',').map((address) => address.trim());
  using interrupt = listenForInterrupt();
  const { signal } = interrupt;
  using meta = connectMeta(addresses, {
    timeoutMs: Math.ceil(options.timeout * 1000),
    waitForServer: false,
    signal,
    ...tlsOptions(options),
  });
  try {
    const { found, text } = await work(meta, signal);
    await printText(options.json === true ? `${jsonText(found)}\n` : text);
    process.exitCode = EXIT_OK;
  } catch (error) {
    const code = interrupt.exitCode();
    if (code === undefined) throw error;
    process.exitCode = code;
  }
}

/** Bytes are escaped as `scan` prints them. */
export function jsonText(value: unknown): string {
  return JSON.stringify(printable(value), null, 2);
}

function printable(value: unknown): unknown {
  if (value instanceof Uint8Array) return escapeBytes(value);
  if (Array.isArray(value)) return value.map(printable);
  if (typeof value !== 'object' || value === null) return value;
  // Of alternatives as the contract has them, the one that is there.
  if ('$case' in value && 'value' in value) return { [String(value.$case)]: printable(value.value) };
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, printable(field)]));
}

export async function printText(text: string): Promise<void> {
  const output = new Output(process.stdout);
  await output.write(text);
  await output.finish();
}

export function parseId(what: string): (text: string) => number {
  return (text) => {
    const id = Number(text);
    if (!/^[1-9]\d{0,9}$/.test(text) || id > 0xffffffff)
      throw new InvalidArgumentError(`The id of a ${what} is asked for, from 1 to 4294967295.`);
    return id;
  };
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `90s`, `15m`, `12h`, `7d`, `0`: milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})(ms|s|m|h|d)?$/.exec(text);
  if (match === null || (match[2] === undefined && match[1] !== '0'))
    throw new InvalidArgumentError('A time such as 90s, 15m, 12h or 7d is asked for; 0: none.');
  return Number(match[1]) * UNITS[(match[2] ?? 'ms') as keyof typeof UNITS];
}

const SIZES: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/** `512`, `4K`, `10M`, `2G`, `1T`: bytes. */
export function parseSize(text: string): number {
  const match = /^(\d{1,12})([KMGT]?)(?:iB|B)?$/.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * SIZES[match[2]!]!;
  if (!Number.isSafeInteger(bytes)) throw new InvalidArgumentError('A size such as 512, 64K, 10M or 2G is asked for; 0: none.');
  return bytes;
}

/** As `parseDuration` takes it, in the largest unit that says it exactly. */
export function durationText(ms: number): string {
  return exactly(ms, UNITS);
}

/** As `parseSize` takes it, in the largest unit that says it exactly. */
export function sizeText(bytes: number): string {
  return exactly(bytes, SIZES);
}

function exactly(value: number, units: Readonly<Record<string, number>>): string {
  const [unit, size] = Object.entries(units).findLast(([, each]) => value > 0 && value % each === 0) ?? ['', 1];
  return `${value / size}${unit}`;
}

/** Of milliseconds, for people: `45 s`, `12 min`, `3 h`, `5 d`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}
