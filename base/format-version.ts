/** Files of another format version. What is newer may be anything; what is older this program no longer reads. */
import { SparrowError } from './errors.ts';

/** `invalid/FORMAT_OLDER`: `file` has format `version`, this program reads `wanted` and no older one. */
export function olderFormat(file: string, version: number, wanted: number): SparrowError {
  return new SparrowError(
    'invalid',
    'FORMAT_OLDER',
    `${file} has format version ${version}; this version of SparrowKV reads version ${wanted} (export the data with the version that wrote it, and import it into a new store)`,
    { file, version, wanted },
  );
}

/** `invalid/FORMAT_NEWER`. */
export function newerFormat(file: string, version: number, limit: number): SparrowError {
  return new SparrowError(
    'invalid',
    'FORMAT_NEWER',
    `${file} has format version ${version}; this version of SparrowKV reads up to ${limit}`,
    { file, version, limit },
  );
}
