/**
 * How the program ends. Scripts may rely on these codes:
 *
 *   0  done
 *   1  not found; a condition failed; some of the items could not be done (each is named on stderr)
 *   2  the command line, its input or its arguments are wrong
 *   3  the server cannot be reached, did not answer in time, or is busy with what passes: try again
 *   4  refused, until something is changed: overload, disk full, no room, corruption, a bug
 *   130, 143  ended by SIGINT, SIGTERM
 */
import { dirname } from 'node:path';

import { SparrowError, type ErrorKind } from '../base/errors.ts';

export const EXIT_OK = 0;
export const EXIT_NOT_FOUND = 1;
export const EXIT_USAGE = 2;
export const EXIT_UNREACHABLE = 3;
export const EXIT_FAILED = 4;

const CODE_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: EXIT_USAGE,
  conflict: EXIT_NOT_FOUND,
  rerouted: EXIT_UNREACHABLE,
  unavailable: EXIT_UNREACHABLE,
  exhausted: EXIT_FAILED,
  closed: EXIT_FAILED,
  corrupt: EXIT_FAILED,
  cancelled: 130,
  internal: EXIT_FAILED,
};

/** `unavailable` as well, but said by a server that could not start here. */
const START_CODES: ReadonlySet<string> = new Set(['ADDRESS_IN_USE', 'LISTEN', 'LOCKED', 'LOCK_FAILED']);

/** What an argument names is not as it must be: `conflict` for a program, for a person a mistake in the command line. */
const USAGE_CODES: ReadonlySet<string> = new Set(['NOT_EMPTY']);

/** Of kinds that mean something else for programs: a server refused, and would refuse again. */
const REFUSED_CODES: ReadonlySet<string> = new Set([
  'CHANGE_REFUSED',
  'HAS_LEADER',
  'NODE_NOT_LOST',
  'NODE_UNFIT',
  'NOT_LEAVING',
  'NO_ROOM',
  'OPERATOR_FAILED',
  'TOO_FEW_NODES',
  'NODE_REMOVED',
  'NO_MAJORITY_AFTER',
  'NOT_CAUGHT_UP',
  'PLAN_CHANGED',
]);

export function exitCodeOf(error: unknown): number {
  if (error instanceof SparrowError && USAGE_CODES.has(error.code)) return EXIT_USAGE;
  if (error instanceof SparrowError && REFUSED_CODES.has(error.code)) return EXIT_FAILED;
  if (error instanceof SparrowError && START_CODES.has(error.code)) return EXIT_FAILED;
  return error instanceof SparrowError ? CODE_OF_KIND[error.kind] : EXIT_FAILED;
}

/** What is corrupt is a server's, or what a server gave: no store of an engine that could be looked at. */
const NO_STORE: ReadonlySet<string> = new Set(['CORRUPT_NODE_FILE', 'CORRUPT_GROUP', 'CORRUPT_RAFT_LOG', 'IMPORT_DIFFERS']);

/** One line for stderr, with a second one where a first user gets stuck. Only a bug shows its stack. */
export function messageOf(error: unknown): string {
  if (error instanceof SparrowError) {
    if (error.kind === 'internal') return `sparrowkv: ${error.stack ?? error.message}`;
    const hint = hintOf(error);
    // A message may have a second line of its own.
    const message = inShell(error.message).replace(/(?=\n|$)/, ` [${error.code}]`);
    return `sparrowkv: ${message}${hint === undefined ? '' : `\n${hint}`}`;
  }
  if (error instanceof Error) {
    const system = 'code' in error && 'syscall' in error;
    return `sparrowkv: ${system ? error.message : (error.stack ?? error.message)}`;
  }
  return `sparrowkv: ${String(error)}`;
}

/** What the engine says to programs, as it is said in a shell. */
function inShell(message: string): string {
  return message
    .replace(/; (?:engine\.verify\(\)|verify\(')[^]*$/, '')
    .replace(/, and verify\('[^]*$/, '')
    .replace('(copy: true)', '(--copy)');
}

/** What to do next, where an operator's command was refused. */
const CLUSTER_HINTS: Readonly<Record<string, string>> = {
  NOT_CAUGHT_UP: '"sparrowkv cluster promote ID --wait" waits for it.',
  NO_MAJORITY_AFTER:
    'Take care first of the nodes that are down: "sparrowkv cluster status" names them, "replace" puts others in their place.',
  NODE_UNREACHABLE: 'Is it running, and is that its address? "sparrowkv help cluster add-learner" shows how to start a node that joins.',
  HAS_LEADER: '"sparrowkv cluster status" shows it; "replace" and "remove" change its members.',
  PLAN_CHANGED: 'Run it again without --yes, and look at what it would cost now.',
  NO_LEADER: '"sparrowkv cluster status" shows which nodes are up.',
};

/** What to do next. */
function hintOf({ kind, code, message, details }: SparrowError): string | undefined {
  if (code === 'UNREACHABLE' && /alert (?:certificate required|bad certificate|unknown ca)/i.test(message))
    return 'The server asks who calls: --tls-certificate FILE and --tls-key FILE name what to show it.';
  if (code === 'UNREACHABLE' && /certificate|self-signed|altnames/i.test(message))
    return '--tls-authority FILE names the certificates to trust.';
  if (code === 'UNREACHABLE' && /Failed to connect|Protocol error|wrong version number|EPROTO|socket disconnected/.test(message))
    return 'Something listens there that is spoken to otherwise: is it the port for clients, and does it speak TLS (--tls, --tls-authority) or not?';
  if (code === 'UNREACHABLE') return 'Is a server running there? "sparrowkv server --data ./data" starts one.';
  const hint = CLUSTER_HINTS[code];
  if (hint !== undefined) return hint;
  if (code === 'CORRUPT_BACKUP')
    return '"sparrowkv engine backups TARGET --verify" tells which backups are whole, "restore --backup NUMBER" takes one of them.';
  // It says itself what to do.
  if (code === 'INCOMPLETE' || code === 'CORRUPT_INGEST' || NO_STORE.has(code)) return undefined;
  if (kind !== 'corrupt' && code !== 'BACKGROUND_FAILED' && code !== 'WRITER_FAILED') return undefined;
  const { file, directory } = details;
  const store = typeof directory === 'string' ? directory : typeof file === 'string' ? dirname(file) : 'DIR';
  return `"sparrowkv engine verify ${store}" tells what is damaged; "sparrowkv engine repair ${store}" keeps what is sound.`;
}
