/** An address that another program has, as people are told of it. Whatever else keeps a server from listening stays as it is. */
import { SparrowError } from '../base/errors.ts';

export function namedAddressInUse(error: unknown): unknown {
  if (!(error instanceof SparrowError) || error.code !== 'LISTEN' || !error.message.includes('EADDRINUSE')) return error;
  const { kind, details } = error;
  return new SparrowError(kind, 'ADDRESS_IN_USE', `${String(details['listen'])} is taken by another program`, details, error);
}
