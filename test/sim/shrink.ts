/**
 * Delta debugging after Zeller and Hildebrandt (2002): leaves out halves, then quarters, and at last single items of a list for as long as
 * what is left still fails. The result fails, and none of its items can be left out alone.
 */
export async function shrink<T>(items: readonly T[], fails: (items: readonly T[]) => Promise<boolean>): Promise<readonly T[]> {
  let left = items;
  if (left.length > 0 && (await fails([]))) return [];
  for (let chunk = Math.ceil(left.length / 2); chunk >= 1 && left.length > 0;) {
    let smaller: readonly T[] | undefined;
    for (let from = 0; from < left.length && !smaller; from += chunk) {
      const rest = [...left.slice(0, from), ...left.slice(from + chunk)];
      if (await fails(rest)) smaller = rest;
    }
    if (smaller) {
      left = smaller;
      chunk = Math.min(chunk, Math.ceil(left.length / 2));
    } else if (chunk === 1) break;
    else chunk = Math.ceil(chunk / 2);
  }
  return left;
}
