/** An internal key taken apart: which keyspace, and the key as its user gave it. */
import type { UserKey } from '../files-api.ts';
import { keyspaceOf, prefixBytesOf } from '../keyspace-key.ts';

export function userKeyOf(internal: Uint8Array): UserKey {
  const keyspace = keyspaceOf(internal);
  return { keyspace, key: internal.subarray(prefixBytesOf(keyspace)) };
}
