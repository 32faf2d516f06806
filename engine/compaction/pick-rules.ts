/** Compactions for what rules of keyspaces leave out (engine/keep-rule.ts). Pure. */
import { keyspaceOf, prefixBytesOf } from '../keyspace-key.ts';
import type { TableMeta } from '../table/index.ts';
import type { Compaction, CompactionInput } from './compaction.ts';
import type { KeyspaceRule } from './rule-table.ts';
import { dropAll, isBottom, type PickerVersion, rewrite } from './steps.ts';

/**
 * Tables below level 0 that were written before their keyspace had its rule and that no snapshot sees anything of: one that the rule leaves out as a
 * whole goes as it is where nothing is below, any other that may have something to leave out is rewritten where it is. Level 0 goes down soon.
 */
export function pickRules(version: PickerVersion, rules: readonly KeyspaceRule[], newestSnapshot: number): Compaction | undefined {
  if (rules.length === 0) return undefined;
  const ruleOf = new Map(rules.map(({ keyspace, rule }) => [keyspace, rule]));
  const newest = Math.max(...rules.map(({ rule }) => rule.id));
  const dropped: CompactionInput[] = [];
  let rewritten: Compaction | undefined;
  for (const [level, tables] of version.levels.entries()) {
    if (level === 0) continue;
    for (const table of tables) {
      const ruledTo = table.ruledTo ?? 0;
      if (ruledTo >= newest || table.minSequence <= newestSnapshot) continue;
      const rule = ruleOf.get(keyspaceOf(table.smallest));
      if (rule === undefined || rule.id <= ruledTo) continue;
      const [smallest, largest] = [keyIn(table.smallest), keyIn(table.largest)];
      const { gte, lt, hash } = rule;
      const isBelow = gte !== undefined && Buffer.compare(largest, gte) < 0;
      const isAbove = lt !== undefined && Buffer.compare(smallest, lt) >= 0;
      const input = { level, table };
      if (isBelow || isAbove) {
        if (isBottom(version, level, [input])) dropped.push(input);
        else rewritten ??= rewrite(version, input, 'rules', 1);
        continue;
      }
      const reachesOut = (gte !== undefined && Buffer.compare(smallest, gte) < 0) || (lt !== undefined && Buffer.compare(largest, lt) >= 0);
      if (hash !== undefined || reachesOut) rewritten ??= rewrite(version, input, 'rules', 1);
    }
  }
  return dropped.length > 0 ? dropAll(dropped, 'rules') : rewritten;
}

function keyIn(internal: TableMeta['smallest']): Uint8Array {
  return internal.subarray(prefixBytesOf(keyspaceOf(internal)));
}
