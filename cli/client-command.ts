/** What the commands that talk to a server have in common: where it is, how long they wait, and how Ctrl-C ends them. */
import { readFileSync } from 'node:fs';

import { type Command, InvalidArgumentError, Option } from 'commander';

import { connect, type CallOptions, type Client, type ConnectOptions, type KeyValues, SparrowError } from '../client/index.ts';
import { listenForInterrupt } from './interrupt.ts';
import { unescapeText } from './terminal/escape.ts';

export const DEFAULT_ADDRESS = '127.0.0.1:7400';
const ANY_KEY = 'a';

export interface ServerOptions {
  server: string;
  /** Seconds. */
  timeout: number;
  tls?: boolean;
  /** Files of PEM. */
  tlsAuthority?: string;
  tlsCertificate?: string;
  tlsKey?: string;
}

export interface KeyOptions {
  escapes?: boolean;
  /** Undefined: `default`. */
  table?: string;
}

export function withServerOptions(command: Command, timeoutSeconds: number = 10): Command {
  return command
    .addOption(
      new Option('--server <address>', 'HOST:PORT of the server; several, separated by commas, are tried in turn')
        .default(DEFAULT_ADDRESS)
        .env('SPARROWKV_SERVER'),
    )
    .addOption(new Option('--tls', 'the server speaks TLS, with a certificate that this machine trusts').env('SPARROWKV_TLS'))
    .addOption(
      new Option('--tls-authority <file>', 'the same, with certificates that lead to those in this file').env('SPARROWKV_TLS_AUTHORITY'),
    )
    .addOption(new Option('--tls-certificate <file>', 'what to show to a server that asks who calls').env('SPARROWKV_TLS_CERTIFICATE'))
    .addOption(new Option('--tls-key <file>', 'its private key').env('SPARROWKV_TLS_KEY'))
    .option('--timeout <seconds>', 'give up when the server does not answer for so long', parseSeconds, timeoutSeconds);
}

export function withEscapesOption(command: Command, what: string): Command {
  return command.option('-e, --escapes', `${what} may hold escapes, as scan prints them: \\\\ \\n \\r \\t \\xNN`);
}

/** An argument's bytes. */
export function argumentBytes(text: string, { escapes }: KeyOptions): Uint8Array {
  return escapes === true ? unescapeText(text) : Buffer.from(text, 'utf8');
}

/** For commands that work with entries: which table's. */
export function withTableOption(command: Command): Command {
  return command.option('--table <name>', 'of this table (default: default)');
}

export interface ClientWork {
  client: Client;
  /** The entries of the table that is named. */
  store: KeyValues;
  /** For every call: the signal of Ctrl-C. */
  call: CallOptions;
}

/**
 * Runs `work` with a client and sets the exit code that it returns.
 *
 * `patient`: once the server was reached and has the table, it may be away for as long as a call may take (a restart), and the work goes on after that.
 */
export async function withClient(
  options: ServerOptions & Pick<KeyOptions, 'table'>,
  work: (with_: ClientWork) => Promise<number>,
  patient: boolean = false,
): Promise<void> {
  const addresses = options.server.split(',').map((address) => address.trim());
  const timeoutMs = Math.ceil(options.timeout * 1000);
  using interrupt = listenForInterrupt();
  const call = { signal: interrupt.signal };
  const tls = tlsOptions(options);
  try {
    // A server that is not there is told at once; an election is waited for.
    const impatient = { timeoutMs, waitForServerMs: 0, waitForLeaderMs: timeoutMs, ...tls };
    if (patient) {
      await using probe = connect(addresses, impatient);
      await probe.limits(call);
      // Throws where there is no such table, before anything is made.
      if (options.table !== undefined) await probe.table(options.table).getVersion(ANY_KEY, call);
    }
    await using client = connect(addresses, patient ? { timeoutMs, ...tls } : impatient);
    const store = options.table === undefined ? client : client.table(options.table);
    process.exitCode = await work({ client, store, call });
  } catch (error) {
    const code = interrupt.exitCode();
    if (code === undefined) throw error;
    process.exitCode = code;
  }
}

/** For `connect` and `connectAdmin`. */
export function tlsOptions({ tls, tlsAuthority, tlsCertificate, tlsKey }: ServerOptions): Pick<ConnectOptions, 'tls'> {
  const files = { authority: tlsAuthority, certificate: tlsCertificate, key: tlsKey };
  const given = Object.entries(files).flatMap(([name, file]) => (file === undefined ? [] : [[name, readPem(name, file)] as const]));
  return tls === true || given.length > 0 ? { tls: Object.fromEntries(given) } : {};
}

function readPem(name: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SparrowError('invalid', 'FILE_UNREADABLE', `--tls-${name}: ${(error as Error).message}`, { field: name }, error);
  }
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 0.001 && seconds <= 3600)) throw new InvalidArgumentError('A number of seconds from 0.001 to 3600 is asked for.');
  return seconds;
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count)) throw new InvalidArgumentError('A whole number is asked for.');
  return count;
}
