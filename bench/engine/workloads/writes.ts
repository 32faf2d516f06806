/** Writes to an empty store, unsynced: one at a time, by batches, a hundred at once. Each workload has a process and a store of its own. */
import { Keys, Values, type KeyOrder } from '../data.ts';
import { repeat, repeatInFlight } from '../meter.ts';
import type { Session } from '../session.ts';
import type { Store } from '../store.ts';
import type { Group } from '../group.ts';

const VALUE_BYTES = 100;
const BATCH_RECORDS = 100;
const WARM_OPERATIONS = 3000;

export const writeGroups: readonly Group[] = [
  single('put-sequential', 'put one by one, awaited, sequential keys', 'sequential'),
  single('put-random', 'put one by one, awaited, random keys', 'random'),
  batches('batch-random', 'batch of 100, random keys', 'random'),
  batches('batch-sequential', 'batch of 100, sequential keys', 'sequential'),
  inFlight('put-in-flight', '100 puts in flight, random keys', 100),
];

function single(name: string, title: string, order: KeyOrder): Group {
  return {
    name,
    workloads: [{ name, title, role: 'write', compare: 'rate' }],
    async run(session) {
      const values = new Values(VALUE_BYTES);
      await warmUp(session, order, (store, keys, i) => store.put(keys.at(i), values.of(i)));
      await fill(session, name, order, values, (store, keys, meter) =>
        repeat(meter, session.limits, (i) => store.put(keys.at(i), values.of(i))),
      );
    },
  };
}

function batches(name: string, title: string, order: KeyOrder): Group {
  return {
    name,
    workloads: [{ name, title, role: 'write', compare: 'rate' }],
    async run(session) {
      const values = new Values(VALUE_BYTES);
      const write = (store: Store, keys: Keys, i: number): unknown => {
        const start = i * BATCH_RECORDS;
        return store.batch(keys.range(start, start + BATCH_RECORDS), values.range(start, start + BATCH_RECORDS));
      };
      await warmUp(session, order, (store, keys, i) => (i % BATCH_RECORDS === 0 ? write(store, keys, i / BATCH_RECORDS) : undefined));
      await fill(session, name, order, values, async (store, keys, meter) => {
        const limits = { ...session.limits, operations: Math.floor(keys.count / BATCH_RECORDS) };
        return BATCH_RECORDS * (await repeat(meter, limits, (i) => write(store, keys, i), BATCH_RECORDS));
      });
    },
  };
}

function inFlight(name: string, title: string, callers: number): Group {
  return {
    name,
    workloads: [{ name, title, role: 'write-in-flight', compare: 'rate' }],
    async run(session) {
      const values = new Values(VALUE_BYTES);
      await warmUp(session, 'random', (store, keys, i) => store.put(keys.at(i), values.of(i)));
      await fill(session, name, 'random', values, (store, keys, meter) =>
        repeatInFlight(meter, session.limits, callers, (i) => store.put(keys.at(i), values.of(i))),
      );
    },
  };
}

type Filler = (store: Store, keys: Keys, meter: ReturnType<Session['meter']>) => Promise<number>;

async function fill(session: Session, name: string, order: KeyOrder, values: Values, filler: Filler): Promise<void> {
  const keys = new Keys(order, session.records);
  const directory = session.freshDirectory();
  const store = await session.open(directory, VALUE_BYTES);
  const meter = session.meter();
  const written = await filler(store, keys, meter);
  await session.verify(store, keys, values, written);
  await store.close();
  session.report(name, meter.result(), directory, session.records, VALUE_BYTES);
}

/** Lets the compiler see the path, in a store that is thrown away. */
async function warmUp(session: Session, order: KeyOrder, write: (store: Store, keys: Keys, i: number) => unknown): Promise<void> {
  const directory = session.freshDirectory();
  const store = await session.open(directory, VALUE_BYTES);
  const keys = new Keys(order, WARM_OPERATIONS);
  await repeat(session.meter(), { operations: WARM_OPERATIONS, milliseconds: session.limits.milliseconds / 4 }, (i) =>
    write(store, keys, i),
  );
  await store.close();
  session.remove(directory);
}
