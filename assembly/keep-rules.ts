/**
 * Rules of what to keep of keyspaces, as plain data: a merge asks them of keys in ascending order. Laid down by engine/compaction/rule-table.ts.
 * Twin: test/assembly/twins/keep-rules.ts.
 *
 *   rule x n, by keyspace:  | keyspace u32 | prefix bytes u32 | mask u32 | value u32 | gte u32 | its bytes u32 | lt u32 | its bytes u32 |
 *
 * `keyspace`: the first byte of its internal keys, and the two behind it when it is LONG_KEYSPACE. What is compared and hashed is the key
 * behind the prefix. A bound of no bytes is none.
 */
import { compareKeys, hashKey } from './key';

const RULE_BYTES: usize = 32;
/** First byte of an internal key whose keyspace's id takes two more. */
const LONG_KEYSPACE: u32 = 240;

/** What tells the keyspace of an internal key. */
// @ts-ignore: decorator
@inline
export function keyspaceMark(key: usize): u32 {
  const mark = <u32>load<u8>(key);
  return mark == LONG_KEYSPACE ? mark | ((<u32>load<u16>(key, 1)) << 8) : mark;
}

/** Of the rules from `rules` to `end`, the one for the keyspace, or 0. */
export function ruleFor(rules: usize, end: usize, keyspace: u32): usize {
  for (let rule = rules; rule < end; rule += RULE_BYTES) if (load<u32>(rule) == keyspace) return rule;
  return 0;
}

/** Whether the rule leaves out the key of its keyspace. */
export function leavesOut(rule: usize, internalKey: usize, internalBytes: i32): bool {
  const key = internalKey + <usize>load<u32>(rule, 4);
  const bytes = internalBytes - load<i32>(rule, 4);
  const fromBytes = load<i32>(rule, 20);
  if (fromBytes && compareKeys(key, bytes, <usize>load<u32>(rule, 16), fromBytes) < 0) return true;
  const toBytes = load<i32>(rule, 28);
  if (toBytes && compareKeys(key, bytes, <usize>load<u32>(rule, 24), toBytes) >= 0) return true;
  const mask = load<u32>(rule, 8);
  return mask != 0 && (<u32>hashKey(key, bytes) & mask) != load<u32>(rule, 12);
}
