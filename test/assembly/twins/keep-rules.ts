/** The twin of assembly/keep-rules.ts. */
import type { KeyspaceRule } from '../../../engine/compaction/index.ts';
import { keyspaceBegin } from '../../../engine/keyspace-key.ts';
import { hashKey } from './hash-key.ts';

/** Whether a rule of its keyspace leaves out the internal key. */
export function isLeftOut(rules: readonly KeyspaceRule[], internal: Uint8Array): boolean {
  const prefixOf = ({ keyspace }: KeyspaceRule): Uint8Array => keyspaceBegin(keyspace);
  const found = rules.find((each) => Buffer.compare(prefixOf(each), internal.subarray(0, prefixOf(each).length)) === 0);
  if (!found) return false;
  const key = internal.subarray(prefixOf(found).length);
  const { gte, lt, hash } = found.rule;
  if (gte && Buffer.compare(key, gte) < 0) return true;
  if (lt && Buffer.compare(key, lt) >= 0) return true;
  return hash !== undefined && Number(hashKey(key) & BigInt(hash.mask)) !== hash.value;
}
