/**
 * Where recovery puts what the log holds (engine/log/log-reader.ts): frames are read into the arena of a memtable, where they stay, and records that
 * tables do not have are indexed. The log may hold more than memory: memtables are flushed as they fill, as they were before. Their edits wait for
 * the log, which is not there yet.
 */
import { FRAME_HEADER_BYTES } from '../../assembly/memory-map.ts';
import { SparrowError } from '../../base/errors.ts';
import type { Background } from '../background/index.ts';
import { KEYSPACE_ID_MAX, keyspaceBegin } from '../keyspace-key.ts';
import type { Frame, ReplayTarget, Room } from '../log/index.ts';
import { isMemoryShort, type LinearMemory } from '../memory/linear-memory.ts';
import type { Memtable } from '../memtable/index.ts';
import type { EngineSettings } from '../settings.ts';
import type { BackPressure } from './back-pressure.ts';
import type { Flushes } from './flushes.ts';
import type { Memtables } from './memtables.ts';
import type { Progress } from './progress.ts';

const WAIT_SYNC_MS = 1000;
/** At least so much is read at once, though a memtable outgrows its size by it. */
const ROOM_BYTES_MIN = 256 * 1024;
const ROOM_BYTES_MAX = 1024 * 1024;

export class Replayed implements ReplayTarget {
  readonly #memory: LinearMemory;
  readonly #memtableBytes: number;
  readonly #background: Background;
  readonly #memtables: Memtables;
  readonly #flushes: Flushes;
  readonly #pressure: BackPressure;
  readonly #progress: Progress;
  readonly #active: (segment: number) => Memtable;
  readonly #inTables: number;
  readonly #directory: string;
  /** No keyspace was ever given this id or a larger one, by the manifest. */
  readonly #nextKeyspaceId: number;
  #lastSequence: number;
  /** The segment that is being replayed. */
  #segment = 0;

  constructor(parts: {
    memory: LinearMemory;
    settings: Readonly<EngineSettings>;
    background: Background;
    memtables: Memtables;
    flushes: Flushes;
    pressure: BackPressure;
    progress: Progress;
    /** The active memtable, or a new one. */
    active: (segment: number) => Memtable;
    /** Sequences up to this one are in tables. */
    inTables: number;
    directory: string;
    nextKeyspaceId: number;
  }) {
    this.#memory = parts.memory;
    this.#memtableBytes = parts.settings.memtableBytes;
    this.#background = parts.background;
    this.#memtables = parts.memtables;
    this.#flushes = parts.flushes;
    this.#pressure = parts.pressure;
    this.#progress = parts.progress;
    this.#active = parts.active;
    this.#inTables = this.#lastSequence = parts.inTables;
    this.#directory = parts.directory;
    this.#nextKeyspaceId = parts.nextKeyspaceId;
  }

  /** The largest sequence seen so far, in tables or in the log. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** The arena of the memtable that takes them, as far as that is not full. Undefined: most of so large a frame must be payload. */
  room(bytes: number, segment: number): Room | undefined {
    const memtableBytes = this.#memtableBytes;
    this.#segment = segment;
    if ((this.#memtables.active?.bytes ?? 0) >= memtableBytes) this.#flush();
    if (bytes > ROOM_BYTES_MAX) return undefined;
    for (;;) {
      try {
        const memtable = this.#active(segment);
        const room = memtable.room(bytes);
        return { address: room.address, bytes: Math.min(room.bytes, Math.max(bytes, memtableBytes - memtable.bytes, ROOM_BYTES_MIN)) };
      } catch (error) {
        if (!isMemoryShort(error) || !this.#memory.makeRoom()) throw error;
      }
    }
  }

  /** False: there was no memory for all of its records; what was replayed before has been flushed for that, and the room with it. */
  take(frame: Frame, segment: number): boolean {
    const address = frame.records - FRAME_HEADER_BYTES;
    const bytes = FRAME_HEADER_BYTES + frame.recordBytes;
    this.#segment = segment;
    let memtable: Memtable;
    let at: number;
    try {
      memtable = this.#active(segment);
      // All of a batch or none: it must not be flushed with half of it.
      memtable.provide(frame.recordCount);
      at = memtable.reserve(bytes);
    } catch (error) {
      if (!isMemoryShort(error) || !this.#memory.makeRoom()) throw error;
      return false;
    }
    if (at !== address) this.#memory.u8.copyWithin(at, address, address + bytes);
    const before = memtable.records;
    memtable.setTop(at + bytes);
    memtable.insert(at + FRAME_HEADER_BYTES, frame.recordBytes, -1, this.#inTables);
    // A frame that tables have takes no room.
    if (memtable.records === before) memtable.setTop(at);
    this.#saw(memtable);
    return true;
  }

  takeMany({ address, bytes }: Room, segment: number): { bytes: number; syncedTo: number } {
    const { active } = this.#memtables;
    if (active === undefined) return { bytes: 0, syncedTo: 0 };
    this.#segment = segment;
    const taken = active.replay(address, bytes, segment, this.#inTables);
    this.#saw(active);
    return taken;
  }

  /** All has been replayed. `corrupt/CORRUPT_MANIFEST`: there are keys of a keyspace that the manifest does not know. */
  end(): void {
    const { active } = this.#memtables;
    if (active !== undefined) this.#assertKnown(active);
  }

  /** Seals what has been replayed and begins its flush. Throws as `end` does. */
  seal(): void {
    this.#assertKnown(this.#memtables.active!);
    this.#memtables.seal(this.#segment);
    this.#flushes.start();
  }

  #flush(): void {
    if (this.#pressure.farBehind) return;
    this.seal();
    const progress = this.#progress;
    while (this.#flushes.running && !progress.failure && !progress.isFull('flush')) this.#background.waitSync(WAIT_SYNC_MS);
    if (progress.failure) throw progress.failure;
  }

  /** A keyspace is on disk before anything is written to it: where its keys are and it is not, the manifest has lost its end, which cannot be told from a torn one otherwise. */
  #assertKnown(memtable: Memtable): void {
    const next = this.#nextKeyspaceId;
    if (next > KEYSPACE_ID_MAX || !memtable.reaches(keyspaceBegin(next))) return;
    const [file, what] = [`${this.#directory}/CURRENT`, 'the log has keys of a keyspace that the manifest does not know'];
    throw new SparrowError('corrupt', 'CORRUPT_MANIFEST', `the manifest that ${file} names is damaged: ${what}`, { file });
  }

  #saw({ lastSequence }: Memtable): void {
    if (lastSequence > this.#lastSequence) this.#lastSequence = lastSequence;
  }
}
