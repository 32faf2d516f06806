/**
 * Large values: inserted one by one in random key order, overwritten in random order, read. Each step opens the store and closes it,
 * so that what the engine writes later, flushing and compacting at its close, is in the step's bytes written.
 */
import { Choice, Keys, Values } from '../data.ts';
import { repeat } from '../meter.ts';
import type { Group, Workload } from '../group.ts';

const KIB = 1024;
const WARM_OPERATIONS = 64;

export const valueGroups: readonly Group[] = [
  group('1k', '1 KiB', KIB, true),
  group('16k', '16 KiB', 16 * KIB, true),
  group('128k', '128 KiB', 128 * KIB, true),
  group('1m', '1 MiB', KIB * KIB, false),
];

function group(suffix: string, size: string, valueBytes: number, full: boolean): Group {
  const insert: Workload = { name: `insert-${suffix}`, title: `values of ${size}, insert`, role: 'write', compare: 'rate' };
  const overwrite: Workload = { name: `overwrite-${suffix}`, title: `values of ${size}, overwrite`, role: 'write', compare: 'rate' };
  const read: Workload = { name: `read-${suffix}`, title: `values of ${size}, read`, role: 'read', compare: 'rate' };
  return {
    name: `values-${suffix}`,
    workloads: full ? [insert, overwrite, read] : [insert],
    async run(session, wanted) {
      const records = session.recordsOf(valueBytes);
      const limits = { ...session.limits, operations: records };
      const keys = new Keys('random', records);
      const values = new Values(valueBytes);
      const directory = session.freshDirectory();
      const writes = session.variant.roles.includes('write');

      let store = await session.open(directory, valueBytes);
      if (writes) {
        const warm = new Keys('sequential', WARM_OPERATIONS);
        const operations = Math.min(WARM_OPERATIONS, Math.ceil(records / 16));
        await repeat(session.meter(), { ...limits, operations }, (i) => store.put(warm.at(i), values.of(i)));
        const meter = session.meter();
        const written = await repeat(meter, limits, (i) => store.put(keys.at(i), values.of(i)));
        await session.verify(store, keys, values, written);
        await store.close();
        if (wanted.has(insert.name)) session.report(insert.name, meter.result(), directory, records, valueBytes);
        store = await session.open(directory, valueBytes);
      }
      // What the time limit kept out, or all of it for a variant that only reads.
      await session.load(store, keys, values);
      if (wanted.has(overwrite.name)) {
        const choice = new Choice(3);
        const meter = session.meter();
        await repeat(meter, limits, () => {
          const i = choice.below(records);
          return store.put(keys.at(i), values.of(i));
        });
        await store.close();
        session.report(overwrite.name, meter.result(), directory, records, valueBytes);
        store = await session.open(directory, valueBytes);
      }
      if (wanted.has(read.name)) {
        await store.settle?.();
        await store.close();
        store = await session.open(directory, valueBytes);
        await session.quiet();
        await session.verify(store, keys, values, records);
        const choice = new Choice(4);
        const get = (): unknown => store.get(keys.at(choice.below(records)));
        await repeat(session.meter(), { operations: records, milliseconds: limits.milliseconds / 2 }, get);
        const meter = session.meter();
        await repeat(meter, { ...limits, operations: records * 4 }, get);
        const measured = meter.result();
        await store.close();
        session.report(read.name, measured, directory, records, valueBytes);
      } else await store.close();
    },
  };
}
