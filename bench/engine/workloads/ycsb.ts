/**
 * YCSB's core workloads (Cooper et al., SoCC 2010) with records of 1,000 bytes and one caller: A 50 % updates, B 5 % updates,
 * C reads only, D reads of the latest with 5 % inserts, E ranges of 1 to 100 with 5 % inserts, F half read-modify-write.
 * A, B, C, E and F choose by the scrambled zipfian distribution (0.99). They run on one store, in YCSB's order: A B C F D E.
 */
import { Choice, Keys, Values, Zipfian } from '../data.ts';
import { repeat, type Measured, type Operation } from '../meter.ts';
import type { Bytes } from '../store.ts';
import type { Group } from '../group.ts';

const VALUE_BYTES = 1000;
const SCAN_ENTRIES_MAX = 100;

export const ycsbGroup: Group = {
  name: 'ycsb',
  workloads: [
    { name: 'ycsb-a', title: 'YCSB A (1 KB): 50 % update', role: 'mixed', compare: 'rate' },
    { name: 'ycsb-b', title: 'YCSB B: 5 % update', role: 'mixed', compare: 'rate' },
    { name: 'ycsb-c', title: 'YCSB C: read only', role: 'mixed', compare: 'rate' },
    { name: 'ycsb-f', title: 'YCSB F: 50 % read-modify-write', role: 'mixed', compare: 'rate' },
    { name: 'ycsb-d', title: 'YCSB D: read latest, 5 % insert', role: 'mixed', compare: 'rate' },
    { name: 'ycsb-e', title: 'YCSB E: short ranges, 5 % insert', role: 'mixed', compare: 'rate' },
  ],
  async run(session, wanted) {
    const records = session.recordsOf(VALUE_BYTES);
    const values = new Values(VALUE_BYTES);
    // Room for the inserts of D and E: a twentieth of the operations each, and luck.
    const keys = new Keys('random', records + Math.ceil(session.limits.operations / 5) + 100);
    const directory = session.freshDirectory();
    const store = await session.loaded(directory, keys, values, records);
    const zipfian = new Zipfian(records, 5);
    const choice = new Choice(6);
    let inserted = records;

    const read = (): unknown => store.get(keys.at(zipfian.scrambled()));
    const update = (): unknown => {
      const i = zipfian.scrambled();
      return store.put(keys.at(i), values.of(i, 1 + choice.below(8)));
    };
    const insert = (): unknown => {
      const i = inserted < keys.count ? inserted++ : choice.below(records);
      return store.put(keys.at(i), values.of(i));
    };
    const modify = (): unknown => {
      const i = zipfian.scrambled();
      const value = store.get(keys.at(i));
      if (value instanceof Promise) return value.then((bytes) => store.put(keys.at(i), rewritten(bytes)));
      return store.put(keys.at(i), rewritten(value));
    };
    const readLatest = (): unknown => store.get(keys.at(Math.max(0, inserted - 1 - zipfian.rank())));
    const scan = (): unknown => store.seekNext(keys.at(zipfian.scrambled()), 1 + choice.below(SCAN_ENTRIES_MAX), touch);

    const mix =
      (percent: number, rare: Operation, usual: Operation): Operation =>
      (i) =>
        choice.below(100) < percent ? rare(i) : usual(i);
    const operations: Record<string, Operation> = {
      'ycsb-a': mix(50, update, read),
      'ycsb-b': mix(5, update, read),
      'ycsb-c': read,
      'ycsb-f': mix(50, modify, read),
      'ycsb-d': mix(5, insert, readLatest),
      'ycsb-e': mix(5, insert, scan),
    };
    await repeat(session.meter(), { ...session.limits, milliseconds: session.limits.milliseconds / 2 }, read);
    const measured = new Map<string, Measured>();
    for (const { name } of ycsbGroup.workloads) {
      if (!wanted.has(name)) continue;
      const meter = session.meter();
      await repeat(meter, session.limits, operations[name]!);
      measured.set(name, meter.result());
    }
    await store.close();
    for (const [name, result] of measured) session.report(name, result, directory, records, VALUE_BYTES);
  },
};

/** A new value made of the one read: its bytes, with the first field (100 bytes) written over. */
function rewritten(value: Bytes | undefined): Buffer {
  if (value === undefined) throw new Error('a loaded record is missing');
  const next = Buffer.allocUnsafe(VALUE_BYTES);
  next.set(value.subarray(0, VALUE_BYTES));
  return next.fill(1, 0, 100);
}

let sink = 0;
function touch(key: Bytes, value: Bytes): void {
  sink = (sink + key[0]! + value[0]!) | 0;
}
