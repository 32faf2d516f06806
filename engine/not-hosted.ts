/** The refusal of what only an engine with a log of its own can do. */
import { SparrowError } from '../base/errors.ts';

/** `field` is about the log that a hosted engine does not have. */
export function notHosted(field: string): SparrowError {
  const message = `${field} is about the log, which the host of this engine keeps: it is not for a hosted engine`;
  return new SparrowError('invalid', 'OPTION_HOSTED', message, { field });
}
