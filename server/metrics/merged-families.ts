/**
 * Families of several engines as those of one: the sum, for what each has of its own. What engines share (caches, indexes, memory) every one of them tells
 * alike, and what is a state, an age or a ratio has no sum: there the largest stands.
 */
import type { Family, Sample } from './exposition.ts';

/** Beginnings and endings of names. */
const LARGEST: readonly RegExp[] = [
  /^sparrowkv_engine_(index|linear_memory|cache_bytes|cache_limit)/,
  /^sparrowkv_engine_(sequence|oldest_snapshot_sequence|background_running|stalled|disk_full|failed|reclaimable_due)$/,
  /_ratio$/,
  /^sparrowkv_engine_reclaimable_seconds$/,
  /^sparrowkv_engine_background_io_bytes_total$/,
];
/** Of a family that is summed, the samples that all engines tell alike. */
const SHARED_SAMPLE = /^sparrowkv_engine_cache_(hits|misses)_total\{"cache":"page"\}$/;

export function mergedFamilies(each: readonly (readonly Family[])[]): Family[] {
  const [only] = each;
  if (each.length === 1 && only !== undefined) return [...only];
  const merged = new Map<string, { family: Family; samples: Map<string, Sample> }>();
  for (const family of each.flat()) {
    let into = merged.get(family.name);
    if (into === undefined) merged.set(family.name, (into = { family, samples: new Map() }));
    for (const sample of family.samples) add(into.samples, family.name, sample);
  }
  return [...merged.values()].map(({ family, samples }) => ({ ...family, samples: [...samples.values()] }));
}

function add(samples: Map<string, Sample>, name: string, { labels, value }: Sample): void {
  const key = JSON.stringify(labels ?? {});
  const before = samples.get(key)?.value;
  const largest = LARGEST.some((pattern) => pattern.test(name)) || SHARED_SAMPLE.test(`${name}${key}`);
  const together = before === undefined ? value : largest ? Math.max(before, value) : before + value;
  samples.set(key, { ...(labels && { labels }), value: together });
}
