/** Names in snapshots come from other machines and become names of files: only plain ones are taken. Pure. */
import { SparrowError } from '../../base/errors.ts';

const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$/;
const ID_CHARACTERS_MAX = 64;

export function checkFileName(name: string): string {
  if (!NAME.test(name)) throw refused('name of a file', name, 255);
  return name;
}

export function checkId(id: string): string {
  if (id.length > ID_CHARACTERS_MAX || !NAME.test(id)) throw refused('id', id, ID_CHARACTERS_MAX);
  return id;
}

function refused(field: string, value: string, limit: number): SparrowError {
  const shown = JSON.stringify(value.slice(0, 80)).replaceAll(/[^\x20-\x7e]/g, '?');
  return new SparrowError(
    'invalid',
    'SNAPSHOT_NAME',
    `snapshot: the ${field} ${shown} is not of 1 to ${limit} letters, digits, '-', '_' and '.', not beginning with a dot`,
    { field, limit },
  );
}
