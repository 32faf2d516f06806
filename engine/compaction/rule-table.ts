/** Rules of what to keep, laid down in linear memory for the merge kernel (drawn in assembly/keep-rules.ts). */
import type { StoredKeepRule } from '../keep-rule.ts';
import { keyspaceBegin, prefixBytesOf } from '../keyspace-key.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';

export interface KeyspaceRule {
  readonly keyspace: number;
  readonly rule: StoredKeepRule;
}

const RULE_BYTES = 32;
/** Kernels may read this far past a key. */
const KEY_SLACK_BYTES = 16;

/** For as long as the memory lives. */
export function layRules(memory: LinearMemory, rules: readonly KeyspaceRule[]): { from: number; to: number } {
  if (rules.length === 0) return { from: 0, to: 0 };
  const { u8, u32 } = memory;
  const from = memory.allocate(rules.length * RULE_BYTES);
  for (const [i, { keyspace, rule }] of rules.entries()) {
    const lay = (key: Uint8Array | undefined): [address: number, bytes: number] => {
      if (key === undefined) return [0, 0];
      const address = memory.allocate(key.length + KEY_SLACK_BYTES);
      u8.set(key, address);
      return [address, key.length];
    };
    const [first, second = 0, third = 0] = keyspaceBegin(keyspace);
    const mark = first! | (second << 8) | (third << 16);
    const { mask, value } = rule.hash ?? { mask: 0, value: 0 };
    u32.set([mark, prefixBytesOf(keyspace), mask, value, ...lay(rule.gte), ...lay(rule.lt)], (from + i * RULE_BYTES) >>> 2);
  }
  return { from, to: from + rules.length * RULE_BYTES };
}

/** Memory that `layRules` takes, at most. */
export function rulesBytes(rules: readonly KeyspaceRule[]): number {
  return rules.reduce((sum, { rule }) => sum + RULE_BYTES + 2 * 128 + (rule.gte?.length ?? 0) + (rule.lt?.length ?? 0), 0);
}
