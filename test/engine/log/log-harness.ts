/** A writer and a log over a simulated disk, and what a replay of that disk finds. */
import { assert } from '../../../base/assert.ts';
import { SparrowError } from '../../../base/errors.ts';
import { BatchPlanner } from '../../../engine/batch-plan.ts';
import { NEVER } from '../../../engine/expiry.ts';
import type { BatchOperation, Durability } from '../../../engine/index.ts';
import { DEFAULT_KEYSPACE } from '../../../engine/keyspace-key.ts';
import { Events } from '../../../engine/events/index.ts';
import { LogWriter, replayLog, type UnsyncedSegment } from '../../../engine/log/index.ts';
import { Staging } from '../../../engine/memory/staging.ts';
import { LinearMemory } from '../../../engine/memory/linear-memory.ts';
import { Memtable } from '../../../engine/memtable/index.ts';
import { OpenKeyspace } from '../../../engine/open-keyspace.ts';
import { type EngineSettingsInput, resolveSettings } from '../../../engine/settings.ts';
import { Writer } from '../../../engine/writer.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import type { Clock } from '../../../base/env.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const DIRECTORY = '/log';

/** One record as replay hands it over: sequence, key, and kind with the value in hexadecimal (a pointer's without its checksum). */
export type Replayed = { sequence: number; key: string; kind: number; value: string };

export class LogHarness {
  readonly disk: SimFileSystem;
  readonly memory: LinearMemory = new LinearMemory(256 * 1024 * 1024);
  readonly log: LogWriter;
  readonly writer: DefaultWriter;
  /** Syncs that background work is told to give way to. */
  awaitedSyncs = 0;

  constructor(
    options: {
      disk?: SimFileSystem;
      settings?: EngineSettingsInput;
      first?: number;
      unsynced?: readonly UnsyncedSegment[];
      clock?: Clock;
    } = {},
  ) {
    this.disk = options.disk ?? new SimFileSystem();
    this.disk.makeDirectorySync(DIRECTORY);
    const settings = resolveSettings({ pageCacheBytes: 2 ** 20, memtableBytes: 2 ** 20, ...options.settings });
    const scheduler = new SimScheduler();
    const clock = options.clock ?? new SimClock(scheduler);
    let next = options.first ?? 1;
    this.log = new LogWriter({
      memory: this.memory,
      staging: new Staging(this.memory),
      fileSystem: this.disk,
      directory: DIRECTORY,
      clock,
      events: new Events(clock, scheduler),
      segmentBytes: settings.segmentBytes,
      callerSyncMs: settings.callerSyncMs,
      nextSegment: () => next++,
      onSegment: () => undefined,
      onDone: () => undefined,
      reopen: (segment) => this.disk.openSync(this.path(segment), 'write'),
      onSync: () => this.awaitedSyncs++,
      unsynced: options.unsynced ?? [],
    });
    let memtable: Memtable | undefined;
    const owner = {
      active: (segment: number) => (memtable ??= new Memtable(this.memory, segment)),
      seal: () => (memtable = undefined),
      memoryIsShort: false,
      relieveMemory: () => undefined,
      admit: () => undefined,
    };
    const writer = new Writer({
      memory: this.memory,
      log: this.log,
      owner,
      settings,
      scheduler,
      sequence: 0,
      batchMemoryBytesMax: 2 ** 26,
    });
    const planner = new BatchPlanner(settings, { getEntry: () => undefined }, new SimClock(scheduler));
    this.writer = new DefaultWriter(writer, planner, new OpenKeyspace(DEFAULT_KEYSPACE, {}, settings));
  }

  path(segment: number): string {
    return `${DIRECTORY}/${String(segment).padStart(6, '0')}.log`;
  }
}

/** Writes to the default keyspace. */
class DefaultWriter {
  readonly #writer: Writer;
  readonly #planner: BatchPlanner;
  readonly #keyspace: OpenKeyspace;

  constructor(writer: Writer, planner: BatchPlanner, keyspace: OpenKeyspace) {
    this.#writer = writer;
    this.#planner = planner;
    this.#keyspace = keyspace;
  }

  one(key: Uint8Array, value: Uint8Array | undefined, durability: Durability, sequence: number | undefined): Promise<void> {
    return this.#writer.one(this.#keyspace, key, value, NEVER, durability, sequence);
  }

  batch(operations: readonly BatchOperation[], durability: Durability, sequence: number | undefined): Promise<void> {
    return this.#writer.batch(
      this.#planner.plan(operations, () => this.#keyspace),
      durability,
      sequence,
    );
  }

  sync(): Promise<void> {
    return this.#writer.sync();
  }
}

/** What a replay finds on a disk, of the default keyspace; a SparrowError becomes its code. */
export function replayed(disk: SimFileSystem, floor?: number): { records: Replayed[]; segments: number[]; dropped: number[] } | string {
  const memory = new LinearMemory(256 * 1024 * 1024);
  const records: Replayed[] = [];
  const segments = disk
    .listSync(DIRECTORY)
    .filter((name) => name.endsWith('.log'))
    .map((name) => Number(name.slice(0, -4)));
  try {
    const replay = replayLog({
      memory,
      fileSystem: disk,
      directory: DIRECTORY,
      segments,
      floor: floor ?? segments[0] ?? 0,
      target: {
        room: () => undefined,
        take: ({ records: address, recordBytes }) => {
          for (let at = address; at < address + recordBytes;) {
            const valueBytes = memory.view.getUint32(at, true);
            const keyBytes = memory.view.getUint16(at + 4, true);
            const kind = memory.u8[at + 6]!;
            const key = Buffer.from(memory.u8.slice(at + 17, at + 16 + keyBytes)).toString();
            assert(memory.u8[at + 16] === DEFAULT_KEYSPACE, 'a key begins with its keyspace');
            const value = Buffer.from(memory.u8.slice(at + 16 + keyBytes, at + 16 + keyBytes + Math.min(valueBytes, 16))).toString('hex');
            records.push({ sequence: Number(memory.view.getBigUint64(at + 8, true)), key, kind, value });
            at += (16 + keyBytes + valueBytes + 7) & ~7;
          }
          return true;
        },
        takeMany: () => ({ bytes: 0, syncedTo: 0 }),
      },
    });
    for (const { file } of replay.segments) file.closeSync();
    return { records, segments: replay.segments.map(({ segment }) => segment), dropped: replay.dropped };
  } catch (error) {
    if (error instanceof SparrowError) return error.code;
    throw error;
  }
}
