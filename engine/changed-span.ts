/**
 * Where two arrays differ that share most of their elements, as the tables of a level do from one version to the next. Pure. Comparing is by
 * identity: thousands of elements take microseconds, so that what is dear need be done for those alone that have changed.
 */

/** Elements `from` up to `beforeEnd` of the one have become `from` up to `afterEnd` of the other; what stands around them is the same. */
export interface ChangedSpan {
  readonly from: number;
  readonly beforeEnd: number;
  readonly afterEnd: number;
}

export function changedSpan<T>(before: readonly T[], after: readonly T[]): ChangedSpan {
  const shorter = Math.min(before.length, after.length);
  let from = 0;
  while (from < shorter && before[from] === after[from]) from++;
  let beforeEnd = before.length;
  let afterEnd = after.length;
  while (beforeEnd > from && afterEnd > from && before[beforeEnd - 1] === after[afterEnd - 1]) {
    beforeEnd--;
    afterEnd--;
  }
  return { from, beforeEnd, afterEnd };
}
