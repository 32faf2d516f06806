/** How calls end that no answer settles. */
import { SparrowError, type ErrorDetails } from '../base/errors.ts';

export function clientClosed(): SparrowError {
  return new SparrowError('closed', 'CLIENT_CLOSED', 'the client is closed');
}

export function aborted(name: string, signal: AbortSignal, details: ErrorDetails): SparrowError {
  return new SparrowError('cancelled', 'ABORTED', `${name} was aborted`, details, signal.reason);
}

export function timedOutError(name: string, timeoutMs: number, details: ErrorDetails, cause?: SparrowError): SparrowError {
  const why = cause === undefined ? '' : `: ${cause.message}`;
  return new SparrowError('unavailable', 'TIMEOUT', `${name} has no answer after ${timeoutMs} ms${why}`, { ...details, timeoutMs }, cause);
}

export function nodeSilent(address: string): SparrowError {
  return new SparrowError('unavailable', 'NODE_SILENT', `${address} does not answer; another node leads`, { address });
}
