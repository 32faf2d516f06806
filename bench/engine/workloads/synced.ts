/** Durable writes to an empty store: one caller, many callers at once, and batches. A write has settled when the disk has it. */
import { Keys, Values } from '../data.ts';
import { repeat, repeatInFlight } from '../meter.ts';
import type { Group } from '../group.ts';

const KIB = 1024;
const VALUE_BYTES = 100;
const BATCH_RECORDS = 100;
const WARM_OPERATIONS = 64;

export const syncedGroups: readonly Group[] = [
  callers('put-synced-1', 'synced put, one caller', 1),
  callers('put-synced-64', 'synced put, 64 callers', 64),
  callers('put-synced-256', 'synced put, 256 callers', 256),
  callers('put-synced-4k', 'synced values of 4 KiB, 64 callers', 64, 4 * KIB),
  callers('put-synced-16k', 'synced values of 16 KiB, 64 callers', 64, 16 * KIB),
  batches('batch-synced', 'synced batch of 100'),
];

function callers(name: string, title: string, count: number, valueBytes: number = VALUE_BYTES): Group {
  return {
    name,
    workloads: [{ name, title, role: 'synced', compare: 'rate' }],
    async run(session) {
      const records = session.recordsOf(valueBytes);
      const values = new Values(valueBytes);
      const keys = new Keys('random', records);
      const warm = new Keys('sequential', WARM_OPERATIONS);
      const directory = session.freshDirectory();
      const store = await session.open(directory, valueBytes, true);
      await repeatInFlight(session.meter(), { ...session.limits, operations: WARM_OPERATIONS }, count, (i) =>
        store.putSynced(warm.at(i), values.of(i)),
      );
      const meter = session.meter();
      const limits = { ...session.limits, operations: records };
      const written = await repeatInFlight(meter, limits, count, (i) => store.putSynced(keys.at(i), values.of(i)));
      await session.verify(store, keys, values, written);
      await store.close();
      session.report(name, meter.result(), directory, records, valueBytes);
    },
  };
}

function batches(name: string, title: string): Group {
  return {
    name,
    workloads: [{ name, title, role: 'synced', compare: 'rate' }],
    async run(session) {
      const values = new Values(VALUE_BYTES);
      const keys = new Keys('random', session.records);
      const directory = session.freshDirectory();
      const store = await session.open(directory, VALUE_BYTES, true);
      const meter = session.meter();
      const limits = { ...session.limits, operations: Math.floor(session.records / BATCH_RECORDS) };
      const write = (i: number): unknown => {
        const start = i * BATCH_RECORDS;
        return store.batchSynced(keys.range(start, start + BATCH_RECORDS), values.range(start, start + BATCH_RECORDS));
      };
      const written = await repeat(meter, limits, write, BATCH_RECORDS);
      await session.verify(store, keys, values, written * BATCH_RECORDS);
      await store.close();
      session.report(name, meter.result(), directory, session.records, VALUE_BYTES);
    },
  };
}
