/**
 * Which keys of a keyspace are wanted: a rule of plain data, so that the background's thread can apply it while it merges, and the manifest can
 * keep it. What it leaves out counts as deleted from then on, whenever compaction comes to it; until then it may still be read. Pure.
 */
import { SparrowError } from '../base/errors.ts';
export { keyHash as keepHash } from '../base/key-hash.ts';
import type { KeepRule } from './api.ts';
import { toBytes } from './keys.ts';

/** A rule as the manifest keeps it. At least one of the three is there. */
export interface StoredKeepRule {
  /** Of all rules of the store, a later one has a larger id: a file id, of no file. */
  readonly id: number;
  /** Keys as the caller gives them. */
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly hash?: { readonly mask: number; readonly value: number };
}

const U32_MAX = 0xffffffff;
const KNOWN = ['gte', 'lt', 'hash'];

/** `invalid/KEEP_RULE`. */
export function storedKeepRule(rule: KeepRule, id: number): StoredKeepRule {
  const { gte, lt, hash } = rule;
  const unknown = Object.keys(rule).find((field) => !KNOWN.includes(field));
  if (unknown !== undefined) throw invalid(`knows ${KNOWN.join(', ')}, not '${unknown}'`, unknown);
  if (gte === undefined && lt === undefined && hash === undefined) throw invalid('has at least one of gte, lt and hash', 'rule');
  const from = gte === undefined ? undefined : Uint8Array.from(toBytes(gte, 'gte'));
  const to = lt === undefined ? undefined : Uint8Array.from(toBytes(lt, 'lt'));
  if (to?.length === 0) throw invalid('has an lt of at least one byte: below it is no key at all', 'lt');
  if (from && to && Buffer.compare(from, to) >= 0) throw invalid('keeps something: its gte is below its lt', 'gte');
  if (hash !== undefined) {
    for (const field of ['mask', 'value'] as const) {
      const number = hash[field];
      if (!Number.isInteger(number) || number < 0 || number > U32_MAX)
        throw invalid(`has a whole number of 32 bits in hash.${field}`, field);
    }
    if (hash.mask === 0) throw invalid('has a bit in hash.mask: without one it says nothing', 'mask');
    if ((hash.value & ~hash.mask) !== 0) throw invalid('has no bit in hash.value that is not in hash.mask: it would keep nothing', 'value');
  }
  return {
    id,
    ...(from && from.length > 0 && { gte: from }),
    ...(to && { lt: to }),
    ...(hash && { hash: { mask: hash.mask, value: hash.value } }),
  };
}

/** What a caller is shown. */
export function shownKeepRule({ gte, lt, hash }: StoredKeepRule): KeepRule {
  return { ...(gte && { gte: gte.slice() }), ...(lt && { lt: lt.slice() }), ...(hash && { hash: { ...hash } }) };
}

function invalid(what: string, field: string): SparrowError {
  return new SparrowError('invalid', 'KEEP_RULE', `a rule of what to keep ${what}`, { field });
}
