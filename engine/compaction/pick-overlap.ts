/**
 * Compactions that give back what older versions take when nobody writes any more. How many of the entries above the deepest level hide one in it nobody knows before they meet; as
 * many as there are, at most. So what lies above is kept small against all that is there, as soon as there is time for it. Pure.
 */
import type { EngineSettings } from '../settings.ts';
import type { Compaction } from './compaction.ts';
import type { LevelFacts } from './level-facts.ts';
import { goDown, oldestOverlapping, type PickerVersion } from './steps.ts';

/**
 * What lies above the deepest level may be this share of what lies in it, values included: then what tables take beside keys and values, a seventh where values
 * are small, leaves a store below 1.3 times its keys and values. A byte that goes down costs the rewriting of eight at most.
 */
const ABOVE_SHARE = 1 / 8;

/** The level that has the most goes down: level 0 as a whole, of another the table with the least to rewrite. */
export function pickOverlap(
  version: PickerVersion,
  { tableBytes }: Pick<EngineSettings, 'tableBytes'>,
  facts: LevelFacts,
): Compaction | undefined {
  const { levels } = version;
  const deepest = Math.max(
    1,
    levels.findLastIndex((tables) => tables.length > 0),
  );
  const above = levels.slice(0, deepest).map((_, level) => facts.of(level).bytes);
  const aboveBytes = above.reduce((sum, bytes) => sum + bytes, 0);
  // Less than a table is nothing to speak of, and one table alone hides nothing.
  if (aboveBytes <= tableBytes || levels.reduce((count, tables) => count + tables.length, 0) < 2) return undefined;
  if (aboveBytes <= ABOVE_SHARE * (facts.of(deepest).bytes + facts.valueBytes)) return undefined;
  const level = above.indexOf(Math.max(...above));
  return goDown(version, level, level === 0 ? oldestOverlapping(levels[0]!) : [facts.cheapestDown(level)], 'overlap', 1);
}
