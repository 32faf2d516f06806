/** What can be done about a damaged store: whoever meets the damage is told. */
import { SparrowError } from '../base/errors.ts';

/** Said once for all that is inside: by whoever lets an error of kind `corrupt` out of the engine in `directory`. Any other error is returned as it is. */
export function withNextStep(error: unknown, directory: string, state: 'open' | 'closed'): unknown {
  if (!(error instanceof SparrowError) || error.kind !== 'corrupt' || error.code === 'INCOMPLETE') return error;
  // Of a backup, or of files that were to be taken in.
  const { file } = error.details;
  if (typeof file === 'string' && !file.startsWith(`${directory}/`)) return error;
  const verify = state === 'open' ? 'engine.verify()' : `verify('${directory}')`;
  const repair = `repair('${directory}')${state === 'open' ? ', once it is closed,' : ''}`;
  const shell = `(from a shell: sparrowkv engine verify|repair ${directory})`;
  const message = `${error.message}; ${verify} lists what is damaged, ${repair} keeps what is sound ${shell}`;
  return new SparrowError(error.kind, error.code, message, { directory, ...error.details }, error);
}
