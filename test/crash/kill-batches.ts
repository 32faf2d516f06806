/** What the killed process writes and its parent expects: batch n is a function of n alone, so that a store's contents follow from how many it holds. */
import type { BatchOperation, EngineSettingsInput } from '../../engine/index.ts';

export const KILL_SETTINGS: EngineSettingsInput = {
  memtableBytes: 256 * 1024,
  segmentBytes: 512 * 1024,
  tableBytes: 128 * 1024,
  level0Compact: 2,
  level1Bytes: 512 * 1024,
  levelRatio: 2,
  pageCacheBytes: 4 * 1024 * 1024,
  memoryBytes: 128 * 1024 * 1024,
  maxBatchBytes: 8 * 1024 * 1024,
  maxValueBytes: 1024 * 1024,
};

const KEYS = 400;
/** Inline values, values in the log, and now and then one larger than a write of the log. */
const SIZES = [0, 10, 100, 900, 1500, 100, 20_000, 50, 300_000];

/** Three keys: a put, another put, and by turns a delete; now and then a range goes. */
export function batchOf(number: number): BatchOperation[] {
  const key = (step: number): string => `key/${(number * step) % KEYS}`;
  const value = (step: number): Uint8Array => Buffer.alloc(SIZES[(number * step) % SIZES.length]!, `${number}.${step};`);
  if (number % 20 === 0)
    return [
      { type: 'deleteRange', gte: key(7), lt: `${key(7)}~` },
      { type: 'put', key: 'last', value: String(number) },
    ];
  return [
    { type: 'put', key: key(7), value: value(1) },
    number % 3 === 0 ? { type: 'delete', key: key(11) } : { type: 'put', key: key(11), value: value(2) },
    { type: 'put', key: 'last', value: String(number) },
  ];
}

export function contentsAfter(batches: number): Map<string, Uint8Array> {
  const contents = new Map<string, Uint8Array>();
  for (let number = 1; number <= batches; number++) {
    for (const operation of batchOf(number)) {
      if (operation.type === 'put') contents.set(String(operation.key), Buffer.from(operation.value as Uint8Array | string));
      else if (operation.type === 'delete') contents.delete(String(operation.key));
      else if (operation.type === 'deleteRange') {
        for (const key of contents.keys()) if (key >= String(operation.gte) && key < String(operation.lt)) contents.delete(key);
      }
    }
  }
  return contents;
}
