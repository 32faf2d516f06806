import { describe, expect, it } from 'vitest';
import { encodeDeleteRange, encodeWrite, engineKey, NO_LIMIT } from '../../../server/node/index.ts';
import { CLIENTS_MAX, REQUEST_WINDOW } from '../../../server/node/request-table.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { ReplicaHarness } from './replica-harness.ts';

describe('a replica of one voter', () => {
  it('elects itself, applies what is proposed, and versions are log indexes', async () => {
    const harness = await ReplicaHarness.open(new SimFileSystem());
    expect(harness.replica.stats()).toMatchObject({ role: 'leader', leader: 1, term: 1, appliedIndex: 1 });
    expect(await harness.put('a', '1')).toEqual({ outcome: 'applied', version: 2 });
    expect(await harness.put('a', '2')).toEqual({ outcome: 'applied', version: 3 });
    expect(harness.get('a')).toEqual({ value: '2', version: 3 });
    expect(harness.replica.read()).toBeUndefined();
    await harness.close();
    expect(harness.stopped).toEqual([]);
    await expect(harness.put('b', '')).rejects.toMatchObject({ kind: 'unavailable', code: 'SHUTTING_DOWN' });
  });

  it('judges conditions at apply, in the order of the log', async () => {
    const harness = await ReplicaHarness.open(new SimFileSystem());
    const key = Buffer.from('k');
    const results = await Promise.all([
      harness.write([{ type: 'put', key, value: Buffer.from('first') }], [{ kind: 'absent', key }]),
      harness.write([{ type: 'put', key, value: Buffer.from('second') }], [{ kind: 'absent', key }]),
      harness.write([{ type: 'put', key, value: Buffer.from('third') }], [{ kind: 'value', key, value: Buffer.from('first') }]),
      harness.write([{ type: 'delete', key }], [{ kind: 'version', key, version: 4 }]),
      harness.write([], [{ kind: 'version', key: Buffer.from('none'), version: 0 }]),
    ]);
    expect(results).toMatchObject([
      { outcome: 'applied', version: 2 },
      { outcome: 'condition-failed', condition: 0, value: Uint8Array.from(Buffer.from('first')), version: 2 },
      { outcome: 'applied', version: 4 },
      { outcome: 'applied', version: 5 },
      { outcome: 'condition-failed', condition: 0, value: undefined, version: 0 },
    ]);
    expect(harness.get('k')).toBeUndefined();
    await harness.close();
  });

  it('deletes a range in runs', async () => {
    const harness = await ReplicaHarness.open(new SimFileSystem());
    for (let i = 0; i < 10; i++) await harness.put(`k${i}`, 'v');
    const range = (start: string, sequence: number): Promise<unknown> =>
      harness.replica.propose(
        encodeDeleteRange({ client: Buffer.from('c'), sequence, seen: 0 }, engineKey(Buffer.from(start)), engineKey(Buffer.from('k9')), 4),
        NO_LIMIT,
      );
    const first = { outcome: 'range-deleted', deleted: 4, cursor: Uint8Array.from(Buffer.from('k4')), version: 12 };
    expect(await range('k1', 1)).toMatchObject(first);
    expect(await range('k1', 1), 'the same answer again').toMatchObject(first);
    expect(await range('k5', 2)).toMatchObject({ deleted: 4, cursor: undefined });
    expect(['k0', 'k1', 'k8', 'k9'].map((key) => harness.get(key) !== undefined)).toEqual([true, false, false, true]);
    await harness.close();
  });

  it('drops writes whose call is over before they are proposed', async () => {
    const harness = await ReplicaHarness.open(new SimFileSystem());
    const command = encodeWrite(undefined, [], [{ type: 'put', key: Buffer.from('k'), value: Buffer.from('v') }]);
    await expect(harness.replica.propose(command, { cancelled: true, deadlineMs: Infinity })).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(harness.replica.propose(command, { cancelled: false, deadlineMs: 0 })).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'TIMEOUT',
      details: { applied: false },
    });
    expect(harness.get('k')).toBeUndefined();
    await harness.close();
  });

  it('lets so many bytes in, makes the next wait, and refuses when too many wait', async () => {
    const harness = await ReplicaHarness.open(new SimFileSystem(), { writeBytesInFlightMax: 10_000, writesWaitingMax: 5 });
    let relieved = 0;
    harness.replica.onRelieved(() => relieved++);
    let peak = 0;
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) => {
        const write = harness.put(`k${i}`, 'v'.repeat(3000));
        peak = Math.max(peak, harness.replica.stats().writeBytesInFlight);
        return write;
      }),
    );
    expect(peak).toBeLessThanOrEqual(10_000);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(8);
    expect(results.at(-1)).toMatchObject({ reason: { kind: 'exhausted', code: 'OVERLOADED', details: { limit: 5 } } });
    expect(relieved).toBe(1);
    expect(harness.replica.stats()).toMatchObject({ writesInFlight: 0, writeBytesInFlight: 0 });
    expect(await harness.put('larger than all', 'v'.repeat(50_000))).toMatchObject({ outcome: 'applied' });
    await harness.close();
  });

  it('cuts the log when the engine has made it durable, and finds everything again', async () => {
    const fileSystem = new SimFileSystem();
    const options = { segmentBytes: 20_000, checkpointBytes: 50_000 };
    const harness = await ReplicaHarness.open(fileSystem, options);
    for (let i = 0; i < 200; i++) await harness.put(`k${i}`, 'v'.repeat(1000));
    const { firstIndex, log } = harness.replica.stats();
    expect(firstIndex).toBeGreaterThan(50);
    expect(log.bytes).toBeLessThan(120_000);
    await harness.close();
    const again = await ReplicaHarness.open(fileSystem, options);
    // Closing has brought everything to tables, and cut the log once more.
    expect(again.replica.stats()).toMatchObject({ replayedEntries: 0, term: 2 });
    expect(again.replica.stats().firstIndex).toBeGreaterThanOrEqual(firstIndex);
    for (let i = 0; i < 200; i++) expect(again.get(`k${i}`)).toMatchObject({ version: i + 2 });
    await again.close();
  });

  it('cuts the log also when nothing but failed conditions is written', async () => {
    const harness = await ReplicaHarness.open(new SimFileSystem(), { segmentBytes: 20_000, checkpointBytes: 50_000 });
    const key = Buffer.from('k');
    for (let i = 0; i < 200; i++) {
      await harness.write([{ type: 'put', key, value: Buffer.alloc(1000) }], [{ kind: 'version', key, version: 7 }]);
    }
    expect(harness.replica.stats().firstIndex).toBeGreaterThan(50);
    await harness.close();
  });

  it('stops when its log cannot be written, and acknowledges nothing more', async () => {
    const fileSystem = new SimFileSystem();
    const harness = await ReplicaHarness.open(fileSystem);
    await harness.put('a', '1');
    fileSystem.failAt({ at: fileSystem.operations + 1, error: 'EIO', forGood: true });
    await expect(harness.put('b', '1')).rejects.toMatchObject({ kind: 'unavailable', code: 'REPLICA_STOPPED' });
    await expect(harness.put('c', '1')).rejects.toMatchObject({ code: 'REPLICA_STOPPED' });
    expect(harness.stopped).toHaveLength(1);
    expect(harness.replica.stats().stoppedBecause?.message).toContain('EIO');
    await harness.replica.close();
    fileSystem.crash('none');
    const again = await ReplicaHarness.open(fileSystem);
    expect(again.get('a')).toMatchObject({ value: '1' });
    await again.close();
  });

  it('does not open over an engine that the log does not fit', async () => {
    const fileSystem = new SimFileSystem();
    const harness = await ReplicaHarness.open(fileSystem);
    await harness.put('a', '1');
    await harness.close();
    for (const name of fileSystem.listSync('/log')) fileSystem.unlinkSync(`/log/${name}`);
    await expect(ReplicaHarness.open(fileSystem)).rejects.toMatchObject({ kind: 'corrupt', code: 'LOG_MISMATCH' });
  });
});

describe('identified writes', () => {
  it('are applied once, across a restart too', async () => {
    const fileSystem = new SimFileSystem();
    const harness = await ReplicaHarness.open(fileSystem);
    const first = await harness.put('k', 'one', 1);
    expect(await harness.put('k', 'two', 2)).toEqual({ outcome: 'applied', version: 3 });
    expect(await harness.put('k', 'one', 1)).toEqual(first);
    await harness.close();
    const again = await ReplicaHarness.open(fileSystem);
    expect(await again.put('k', 'one', 1)).toEqual(first);
    expect(again.get('k')).toEqual({ value: 'two', version: 3 });
    expect(await again.put('k', 'other client', 1, 'another')).toMatchObject({ outcome: 'applied', version: again.replica.applied });
    await again.close();
  });

  it('are decidable within the window of a client, and refused beyond it', async () => {
    const harness = await ReplicaHarness.open(new SimFileSystem());
    await Promise.all(Array.from({ length: REQUEST_WINDOW + 10 }, (_, i) => harness.put('k', 'v', i + 1)));
    expect(await harness.put('k', 'v', 10)).toMatchObject({ outcome: 'expired' });
    expect(await harness.put('k', 'v', 11)).toEqual({ outcome: 'applied', version: 12 });
    await harness.close();
  });

  it('whose condition failed are judged again', async () => {
    const harness = await ReplicaHarness.open(new SimFileSystem());
    const key = Buffer.from('k');
    const write = (): Promise<unknown> =>
      harness.write([{ type: 'put', key, value: Buffer.from('v') }], [{ kind: 'value', key, value: Buffer.from('go') }], 1);
    expect(await write()).toMatchObject({ outcome: 'condition-failed' });
    await harness.put('k', 'go');
    expect(await write()).toMatchObject({ outcome: 'applied' });
    await harness.close();
  });

  it('of the client that wrote longest ago make room; what then cannot be told is refused', async () => {
    const fileSystem = new SimFileSystem();
    const harness = await ReplicaHarness.open(fileSystem);
    const old = await harness.put('k', 'old', 1, 'oldest');
    for (let i = 0; i < CLIENTS_MAX; i += 64) {
      await Promise.all(Array.from({ length: 64 }, (_, j) => harness.put(`k${i + j}`, 'v', 1, `client ${i + j}`)));
    }
    const now = harness.replica.applied;
    const check = async (replica: ReplicaHarness): Promise<void> => {
      expect(await replica.put('k', 'old', 1, 'oldest', 1)).toMatchObject({ outcome: 'expired' });
      expect(await replica.put('k1', 'v', 1, 'client 1', 1)).toEqual({ outcome: 'applied', version: 4 });
    };
    expect(old).toEqual({ outcome: 'applied', version: 2 });
    await check(harness);
    await harness.close();
    const again = await ReplicaHarness.open(fileSystem);
    await check(again);
    expect(await again.put('k', 'new', 2, 'oldest', now), 'a client that has seen what came since is new').toMatchObject({
      outcome: 'applied',
    });
    await again.close();
  });
});

describe('a replica under crashes', () => {
  it('loses nothing that it acknowledged, and applies a repeated write once', async () => {
    let crashes = 0;
    for (let seed = 1; seed <= 40; seed++) crashes += await crashSequence(seed);
    expect(crashes).toBeGreaterThan(80);
  });
});

/** Counters that identified writes add to, through crashes at random operations. Returns how many crashes there were. */
async function crashSequence(seed: number): Promise<number> {
  const random = new SimRandom(seed);
  const fileSystem = new SimFileSystem({ seed });
  const acknowledged = new Map<string, { value: string; version: number }>();
  let sequence = 0;
  let unanswered: { key: string; value: string; sequence: number }[] = [];
  let crashes = 0;
  for (let life = 0; life < 4; life++) {
    const harness = await ReplicaHarness.open(fileSystem, { segmentBytes: 4000, checkpointBytes: 6000 });
    for (const [key, { value, version }] of acknowledged) {
      if (unanswered.some((write) => write.key === key)) continue;
      expect(harness.get(key), `seed ${seed} life ${life} ${key}`).toEqual({ value, version });
    }
    for (const write of unanswered) {
      const before = harness.get(write.key);
      const result = await harness.put(write.key, write.value, write.sequence);
      expect(result).toMatchObject({ outcome: 'applied' });
      // It was applied before the crash, with this version, or it is now.
      if (before?.value === write.value) expect(result).toMatchObject({ version: before.version });
      acknowledged.set(write.key, { value: write.value, version: (result as { version: number }).version });
    }
    unanswered = [];
    fileSystem.killAt(fileSystem.operations + 1 + random.below(60));
    for (let step = 0; step < 30 && unanswered.length === 0; step++) {
      const writes = Array.from({ length: 1 + random.below(4) }, () => ({
        key: `k${random.below(1000)}-${++sequence}`,
        value: `${sequence}`.repeat(30),
        sequence,
      }));
      const results = await Promise.allSettled(writes.map(({ key, value, sequence }) => harness.put(key, value, sequence)));
      for (const [i, result] of results.entries()) {
        const { key, value } = writes[i]!;
        if (result.status === 'rejected') unanswered.push(writes[i]!);
        else if (result.value.outcome === 'applied') acknowledged.set(key, { value, version: result.value.version });
      }
    }
    if (fileSystem.dead) crashes++;
    else await harness.close().catch(() => crashes++);
    harness.replica.abort();
    harness.log.abort();
    fileSystem.crash(random.pick(['none', 'all', 'random', 'torn'] as const));
  }
  return crashes;
}
