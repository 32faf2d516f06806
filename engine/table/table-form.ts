/**
 * How tables are written: the codec of their pages and the size of their filters, by keyspace. Plain data: it crosses threads with the jobs. Pure.
 *
 * A page has the codec of the keyspace that its first key lies in. A table with keys of one keyspace has that one's filter; one with keys of
 * several, which only level 0 has, the filter of `own`.
 */
import { keyspaceOf } from '../keyspace-key.ts';
import type { PageCompression } from './page-compression.ts';

export interface TableForm {
  readonly compression: PageCompression;
  /** Bits of the filter for each key; 0: a filter of one block, which lets nearly everything pass (assembly/filter.ts). */
  readonly filterBitsPerKey: number;
}

export interface TableForms {
  /** Of keyspaces that have none of theirs. */
  readonly own: TableForm;
  /** By id. */
  readonly keyspaces: ReadonlyMap<number, TableForm>;
}

export const FILTER_BITS_PER_KEY = 12;
export const PLAIN_FORMS: TableForms = { own: { compression: 'none', filterBitsPerKey: FILTER_BITS_PER_KEY }, keyspaces: new Map() };

/** `keyspace`: its id. */
export function formOf(forms: TableForms, keyspace: number): TableForm {
  return forms.keyspaces.get(keyspace) ?? forms.own;
}

/** Bits of the filter for each key of a table with these bounds. */
export function filterBitsOf(forms: TableForms, smallest: Uint8Array, largest: Uint8Array): number {
  const keyspace = keyspaceOf(smallest);
  return (keyspaceOf(largest) === keyspace ? formOf(forms, keyspace) : forms.own).filterBitsPerKey;
}

/** Those of the keyspaces from `first` to `last`, ids included: what a job needs of them. */
export function formsWithin({ own, keyspaces }: TableForms, first: number, last: number): TableForms {
  return { own, keyspaces: new Map([...keyspaces].filter(([id]) => id >= first && id <= last)) };
}
