/** What expires, on replicas whose clocks, flushes and compactions differ: conditions and range deletes find the same, and nobody finds it too early. */
import { afterEach, describe, expect, it } from 'vitest';
import { NodeScheduler } from '../../../base/node/index.ts';
import { type HostedEngine, open } from '../../../engine/index.ts';
import {
  type ApplyResult,
  type CommandCondition,
  encodeDeleteRange,
  encodeWrite,
  engineKey,
  engineRange,
} from '../../../server/node/index.ts';
import { STEP_MS } from '../../../server/node/group-time.ts';
import { StateMachine } from '../../../server/node/state-machine.ts';
import { votersOnly } from '../../../server/raft/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const ABSENT = (key: string): CommandCondition => ({ kind: 'absent', key: bytes(key) });
const T0 = 1_800_000_000_000;

function putAt(nowMs: number, key: string, expiresAtMs: number | undefined, conditions: CommandCondition[] = []): Buffer {
  const expiry = expiresAtMs === undefined ? {} : { expiresAtMs };
  return encodeWrite(undefined, conditions, [{ type: 'put', key: bytes(key), value: bytes(`${key} ${nowMs}`), ...expiry }], 0, nowMs);
}

function deleteAllAt(nowMs: number, limit = 1000): Buffer {
  const { start, end } = engineRange({});
  return encodeDeleteRange(undefined, start, end, limit, 0, nowMs);
}

/** A replica's state, whose machine believes that it is some other time. */
class Copy {
  readonly fileSystem: SimFileSystem = new SimFileSystem();
  readonly #wallMs: number;
  engine!: HostedEngine;
  machine!: StateMachine;

  constructor(wallMs: number) {
    this.#wallMs = wallMs;
  }

  async open(): Promise<this> {
    const clock = { wallMs: () => this.#wallMs, monotonicMs: () => performance.now() };
    const hosted = { segmentPath: (segment: number) => `/log/${segment}`, expiry: 'told' as const };
    const settings = { memoryBytes: 128 << 20, memtableBytes: 256 * 1024, pageCacheBytes: 1 << 20 };
    this.engine = await open('/engine', settings, { fileSystem: this.fileSystem, scheduler: new NodeScheduler(), clock, hosted });
    this.machine = new StateMachine({ engine: this.engine, log: { place: () => undefined }, beginning: votersOnly([1]) });
    return this;
  }

  /** Everything that the log has behind what the engine has. */
  async apply(log: readonly Uint8Array[]): Promise<ApplyResult[]> {
    const results: ApplyResult[] = [];
    while (this.machine.applied < log.length) {
      const index = this.machine.applied + 1;
      results[index] = await this.machine.apply({ index, term: 1, data: log[index - 1]! });
    }
    return results;
  }

  async compact(): Promise<void> {
    await this.machine.flush();
    await this.engine.compact();
  }

  /** The machine loses power: what was flushed is there. */
  async crash(): Promise<void> {
    await this.engine.close().catch(() => undefined);
    this.fileSystem.crash('none');
    await this.open();
  }

  /** What is there at `atMs`. */
  keys(atMs: number): string[] {
    return this.engine.expiry.look(atMs, () =>
      [...this.engine.scanSync({ ...{ gte: engineRange({}).start, lt: engineRange({}).end }, keysOnly: true })].map(([key]) =>
        Buffer.from(key.subarray(1)).toString(),
      ),
    );
  }
}

describe('values that expire', () => {
  const copies: Copy[] = [];

  async function copy(wallMs: number): Promise<Copy> {
    const made = await new Copy(wallMs).open();
    copies.push(made);
    return made;
  }

  afterEach(async () => {
    await Promise.all(copies.splice(0).map(({ engine }) => engine.close()));
  });

  it('are there until their time has come for the command that looks, whatever the machine thinks', async () => {
    for (const wallMs of [T0 - 86_400_000, T0 + 86_400_000]) {
      const { machine } = await copy(wallMs);
      let index = 0;
      const apply = async (data: Uint8Array): Promise<ApplyResult> => machine.apply({ index: ++index, term: 1, data });
      await apply(new Uint8Array(0));
      await apply(putAt(T0, 'k', T0 + 500));
      expect(await apply(putAt(T0 + 499, 'k', undefined, [ABSENT('k')]))).toMatchObject({ outcome: 'condition-failed', version: 2 });
      expect(await apply(putAt(T0 + 500, 'k', T0 + 600, [ABSENT('k')]))).toMatchObject({ outcome: 'applied' });
      // The leader before had a clock that went ahead: time does not go back.
      expect(await apply(putAt(T0 + 620, 'l', undefined, [ABSENT('l')]))).toMatchObject({ outcome: 'applied' });
      expect(await apply(putAt(T0 + 10, 'k', undefined, [ABSENT('k')]))).toMatchObject({ outcome: 'applied' });
      expect(machine.timeMs).toBe(T0 + 620);
    }
  });

  it('do not move the time of the group on with every put', async () => {
    const { machine } = await copy(T0);
    const times: number[] = [];
    for (const [i, ms] of [0, 1, 2, STEP_MS - 1, STEP_MS, STEP_MS + 1].entries()) {
      if (i === 0) await machine.apply({ index: 1, term: 1, data: new Uint8Array(0) });
      await machine.apply({ index: i + 2, term: 1, data: putAt(T0 + ms, 'k', T0 + 10 * STEP_MS) });
      times.push(machine.timeMs - T0);
    }
    expect(times).toEqual([0, 0, 0, 0, STEP_MS, STEP_MS]);
  });

  it('go from the disk once their time is durable, and not before', async () => {
    const one = await copy(T0 + 86_400_000);
    const log: Uint8Array[] = [new Uint8Array(0)];
    for (let i = 0; i < 100; i++) log.push(putAt(T0, `k${i}`, T0 + 10));
    await one.apply(log);
    await one.compact();
    expect(one.keys(0), 'by the clock all are long gone').toHaveLength(100);
    log.push(putAt(T0 + 20, 'last', undefined, [ABSENT('last')]));
    await one.apply(log);
    expect(one.keys(T0 + 20)).toEqual(['last']);
    expect(one.keys(0)).toHaveLength(101);
    expect(one.engine.expiry.dropMs, 'after a crash the entry looks again').toBe(T0);
    await one.compact();
    expect(one.engine.expiry.dropMs).toBe(T0 + 20);
    await one.compact();
    expect(one.keys(0)).toEqual(['last']);
  });

  it('are the same on copies that flush, compact and crash when they like', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = new SimRandom(seed);
      const [steady, other] = [await copy(T0), await copy(T0 + (random.below(2) === 0 ? -1 : 1) * 3_600_000)];
      const log: Uint8Array[] = [new Uint8Array(0)];
      const found: ApplyResult[] = [];
      let nowMs = T0;
      for (let round = 0; round < 60; round++) {
        for (let i = random.below(6); i >= 0; i--) {
          // Leaders whose clocks differ.
          nowMs += random.below(400);
          const atMs = nowMs + random.below(300) - 150;
          const key = `k${random.below(12)}`;
          const expiresAtMs = random.below(4) === 0 ? undefined : atMs + 1 + random.below(2500);
          const what = random.below(10);
          if (what < 5) log.push(putAt(atMs, key, expiresAtMs));
          else if (what < 9) log.push(putAt(atMs, key, expiresAtMs, [ABSENT(key)]));
          else log.push(deleteAllAt(atMs, 1 + random.below(5)));
        }
        for (const [index, result] of Object.entries(await steady.apply(log))) found[Number(index)] = result;
        const act = random.below(5);
        if (act === 0) await other.compact();
        if (act === 1) await other.crash();
        for (const [index, result] of Object.entries(await other.apply(log)))
          expect(result, `entry ${index}`).toEqual(found[Number(index)]);
      }
      expect(found.filter((result) => result?.outcome === 'condition-failed').length).toBeGreaterThan(5);
      expect(other.machine.timeMs).toBe(steady.machine.timeMs);
      expect(other.keys(steady.machine.timeMs)).toEqual(steady.keys(steady.machine.timeMs));
    }
  });

  it('that a key has are no matter of groups in which nothing ever expired', async () => {
    const { machine, engine } = await copy(T0);
    await machine.apply({ index: 1, term: 1, data: new Uint8Array(0) });
    await machine.apply({
      index: 2,
      term: 1,
      data: encodeWrite(undefined, [ABSENT('k')], [{ type: 'put', key: bytes('k'), value: bytes('v') }]),
    });
    expect(machine.timeMs).toBe(0);
    expect(engine.getSync(Uint8Array.of(0, 0x74))).toBe(undefined);
    expect(engine.getEntrySync(engineKey(bytes('k')))).toMatchObject({ version: 2 });
  });
});
