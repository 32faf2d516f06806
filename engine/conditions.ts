/** The conditions of a batch: checked in form, then held against what is stored, all before anything is written. */
import { ConditionFailedError } from '../base/condition-failed.ts';
import { SparrowError } from '../base/errors.ts';
import type { Condition, Keyspace, VersionedValue } from './api.ts';
import { checkArray, checkObject, checkOptions, toBytes, toKey } from './keys.ts';
import type { OpenKeyspace } from './open-keyspace.ts';
import { NEWEST, type Reader } from './reader.ts';

const FIELDS: readonly string[] = ['key', 'keyspace', 'absent', 'value', 'version'];

interface Checked {
  readonly keyspace: OpenKeyspace;
  readonly key: Uint8Array;
  readonly holds: (current: VersionedValue | undefined) => boolean;
}

/** Throws a ConditionFailedError for the first that does not hold; `invalid/CONDITION` for one that asks for nothing, or for two things. */
export function assertConditions(
  conditions: readonly Condition[],
  keyspaceOf: (keyspace: Keyspace | undefined) => OpenKeyspace,
  maxKeyBytes: number,
  reader: Reader,
): void {
  checkArray(conditions, 'conditions');
  const checked = conditions.map((condition, i): Checked => {
    checkObject(condition, `conditions[${i}]`);
    checkOptions(condition, FIELDS);
    return { keyspace: keyspaceOf(condition.keyspace), key: toKey(condition.key, maxKeyBytes), holds: wantedOf(condition, i) };
  });
  for (const [i, { keyspace, key, holds }] of checked.entries()) {
    const current = reader.getEntry(keyspace.id, key, NEWEST);
    if (!holds(current)) throw new ConditionFailedError(i, key, current);
  }
}

function wantedOf(condition: Condition, index: number): (current: VersionedValue | undefined) => boolean {
  const { absent, value, version } = condition as { absent?: unknown; value?: Uint8Array | string; version?: number };
  if (Number(absent !== undefined) + Number(value !== undefined) + Number(version !== undefined) !== 1) {
    throw malformed(index, 'has one of absent, value and version');
  }
  if (value !== undefined) {
    const bytes = toBytes(value, `conditions[${index}].value`);
    return (current) => current !== undefined && Buffer.compare(current.value, bytes) === 0;
  }
  if (version !== undefined) {
    if (!Number.isSafeInteger(version)) throw malformed(index, `has a version that is a whole number, not ${String(version)}`);
    return (current) => current?.version === version;
  }
  if (absent !== true) throw malformed(index, 'has absent: true, or one of value and version');
  return (current) => current === undefined;
}

function malformed(index: number, rule: string): SparrowError {
  return new SparrowError('invalid', 'CONDITION', `a condition ${rule}; conditions[${index}] does not`, { field: `conditions[${index}]` });
}
