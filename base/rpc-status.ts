/**
 * How a SparrowError crosses a gRPC call: the one table of kinds and status codes, and the record that carries the rest.
 *
 * A failed call ends with a gRPC status (its message is the error's) and three trailers:
 *
 *   sparrow-kind     the kind, as in errors.ts
 *   sparrow-code     the stable code
 *   sparrow-details  a JSON object in ASCII (other characters escaped as \uXXXX), at most 4,096 bytes
 *
 * A status without them came from gRPC itself or something in between; the second table says what it then means.
 * Plain numbers and records: nothing here knows a gRPC library. Used by server/gateway and client.
 */
import { SparrowError, type ErrorDetails, type ErrorKind } from './errors.ts';

export const KIND_TRAILER = 'sparrow-kind';
export const CODE_TRAILER = 'sparrow-code';
export const DETAILS_TRAILER = 'sparrow-details';

/** Longer messages and details are cut: HTTP/2 peers refuse large header lists. */
export const MESSAGE_CHARACTERS_MAX = 1024;
export const DETAILS_BYTES_MAX = 4096;

/** gRPC status codes by name. */
export const RPC_STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

const STATUS_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: RPC_STATUS.INVALID_ARGUMENT,
  conflict: RPC_STATUS.ABORTED,
  rerouted: RPC_STATUS.FAILED_PRECONDITION,
  unavailable: RPC_STATUS.UNAVAILABLE,
  exhausted: RPC_STATUS.RESOURCE_EXHAUSTED,
  closed: RPC_STATUS.UNAVAILABLE,
  corrupt: RPC_STATUS.DATA_LOSS,
  cancelled: RPC_STATUS.CANCELLED,
  internal: RPC_STATUS.INTERNAL,
};

/** What a bare status means, by its number. */
const MEANING: readonly (readonly [kind: ErrorKind, code: string])[] = [
  ['internal', 'RPC_OK'],
  ['cancelled', 'ABORTED'],
  ['internal', 'RPC_UNKNOWN'],
  ['invalid', 'RPC_INVALID_ARGUMENT'],
  ['unavailable', 'TIMEOUT'],
  ['invalid', 'RPC_NOT_FOUND'],
  ['conflict', 'RPC_ALREADY_EXISTS'],
  ['invalid', 'RPC_PERMISSION_DENIED'],
  ['exhausted', 'RPC_RESOURCE_EXHAUSTED'],
  ['rerouted', 'RPC_FAILED_PRECONDITION'],
  ['conflict', 'RPC_ABORTED'],
  ['invalid', 'RPC_OUT_OF_RANGE'],
  ['invalid', 'RPC_UNIMPLEMENTED'],
  ['internal', 'RPC_INTERNAL'],
  ['unavailable', 'RPC_UNAVAILABLE'],
  ['corrupt', 'RPC_DATA_LOSS'],
  ['invalid', 'RPC_UNAUTHENTICATED'],
];

const KINDS: ReadonlySet<string> = new Set(Object.keys(STATUS_OF_KIND));

/** An error as a call carries it. `details` is JSON text. */
export interface RpcFailure {
  status: number;
  kind: string;
  code: string;
  message: string;
  details: string;
}

/** What a call says of `error`. Anything but a SparrowError is our bug and leaves as `internal/INTERNAL` with its message. */
export function failureOf(error: unknown): RpcFailure {
  const known =
    error instanceof SparrowError
      ? error
      : new SparrowError('internal', 'INTERNAL', error instanceof Error ? error.message : String(error), {}, error);
  return {
    status: known.code === 'TIMEOUT' ? RPC_STATUS.DEADLINE_EXCEEDED : STATUS_OF_KIND[known.kind],
    kind: known.kind,
    code: known.code,
    // Half a surrogate pair cannot be percent-encoded, which is how the message travels.
    message: known.message.slice(0, MESSAGE_CHARACTERS_MAX).toWellFormed(),
    details: detailsText(known.details),
  };
}

/** The error that the other side threw, from what the call said of it. Absent parts are empty strings. */
export function errorOf(failure: RpcFailure): SparrowError {
  const details = parseDetails(failure.details);
  if (KINDS.has(failure.kind) && failure.code !== '') {
    return new SparrowError(failure.kind as ErrorKind, failure.code, failure.message, details);
  }
  const [kind, code] = MEANING[failure.status] ?? (['internal', 'RPC_UNKNOWN'] as const);
  return new SparrowError(
    kind,
    code,
    failure.message === '' ? `the call ended with gRPC status ${failure.status}` : failure.message,
    details,
  );
}

/** "No connection established. Last error: Error: connect ECONNREFUSED ..." says it in its last words. */
export function plainMessage(details: string): string {
  const cause = /Last error: (?:Error: )?(.+?)\.?(?: Resolution note:.*)?$/s.exec(details);
  return (cause?.[1] ?? details).replace(SAID_WHEN, '').replace(FOR_NODE, '').replace(OF_OPENSSL, '$1: $2');
}

/** When it happened; what helps who started Node; where in its sources OpenSSL says it. */
const SAID_WHEN = / \(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/;
const FOR_NODE = /; if the root CA is installed locally, try running Node\.js with .*$/;
const OF_OPENSSL = /^[0-9A-F]+:error:[0-9A-F]*:([^:]*):[^:]*:([^:]*):.*$/s;

function detailsText(details: ErrorDetails): string {
  const text = JSON.stringify(details).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return text.length <= DETAILS_BYTES_MAX ? text : '{"detailsLeftOut":true}';
}

/** Details come from another process: anything that is not a flat JSON object is left out. */
function parseDetails(text: string): ErrorDetails {
  if (text === '' || text.length > DETAILS_BYTES_MAX) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { detailsUnreadable: true };
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return { detailsUnreadable: true };
  const flat = Object.entries(parsed).filter(([, value]) => value === null || ['string', 'number', 'boolean'].includes(typeof value));
  return Object.fromEntries(flat) as ErrorDetails;
}
