/** An internal key taken apart: which keyspace, and the key as its user gave it. */
import { keyspaceOf, prefixBytesOf } from '../keyspace-key.ts';

export interface UserKey {
  /** The keyspace's id; 0 is the default one. */
  readonly keyspace: number;
  readonly key: Uint8Array;
}

export function userKeyOf(internal: Uint8Array): UserKey {
  const keyspace = keyspaceOf(internal);
  return { keyspace, key: internal.subarray(prefixBytesOf(keyspace)) };
}
