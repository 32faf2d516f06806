/**
 * Replays log segments at opening: every sound frame is handed over in order; where the frames end is decided here.
 *
 * - The last segment ends at its first frame that is not sound: the torn end of unsynced writes. But when a later frame proves that the
 *   broken one was on disk once (it was written when the log was synced past it), that is corruption.
 * - A segment before it must reach exactly the length that its successor states. When it falls short, or its successor is missing, and any
 *   segment behind it has a seal, that is corruption; without a seal nothing behind it was acknowledged as synced, and all of that goes.
 *   But when a frame in what would go says that it was synced, that is corruption too: then it is the header or the seal that is damaged.
 * - The first segment may follow only one from before the log's floor: otherwise the one that it follows is missing, and the same holds.
 * - A payload is part of its frame: a frame whose payload does not match is not sound.
 *
 * What is kept is on disk once the writer has synced it, whatever the process before died of, a failed sync included.
 *
 * Frames are read to where they are to stay, in the arena of the memtable that takes them: nothing is copied on the way, but for frames that
 * do not lie behind one another there because of payloads between them. Memory besides: a window of 4 MiB, or of the largest frame with its
 * payload, for frames of more than 1 MiB and for what is written again.
 */
import type { File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { FRAME_HEADER_BYTES } from '../../assembly/memory-map.ts';
import { isMemoryShort, type LinearMemory } from '../memory/linear-memory.ts';
import {
  decodeHeader,
  FRAMES_OFFSET,
  isSealOf,
  logFileName,
  SEAL_BYTES,
  SEAL_OFFSET,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from './log-format.ts';
import { segmentChecksum } from './segment-checksum.ts';

const WINDOW_BYTES = 4 * 1024 * 1024;
/** Is still in the processor's cache when it is written. */
const WRITE_AGAIN_BYTES = 256 * 1024;

export interface ReplayedSegment {
  segment: number;
  /** Where its frames end: the length that counts. */
  bytes: number;
  file: File;
}

export interface Replay {
  /** Segments that stay, oldest first. */
  segments: ReplayedSegment[];
  /** Segments to be deleted, oldest first: never acknowledged as synced and cut off from the log. To be removed from the newest on. */
  dropped: number[];
}

/** Linear memory. */
export type Room = { readonly address: number; readonly bytes: number };

/** Who takes what the log holds. */
export interface ReplayTarget {
  /** Memory to read frames to, at least `bytes` of it, used until the next call; undefined: so much is for the reader to have. */
  room(bytes: number, segment: number): Room | undefined;
  /**
   * A sound frame in linear memory, mostly at the beginning of what is left of the room: valid during the call only, unless it is kept there.
   * False: it has not been taken, and the room is gone, because memory was given back; it is to be read anew.
   */
  take(frame: Frame, segment: number): boolean;
  /**
   * Frames in linear memory, one behind another, the last one maybe not whole, not looked at yet: takes as many as are sound and need no more than
   * to be taken, from the first on. Returns how many bytes are done, and up to where the segment was on disk by what they say.
   */
  takeMany(frames: Room, segment: number): { readonly bytes: number; readonly syncedTo: number };
}

export function replayLog(parts: {
  memory: LinearMemory;
  fileSystem: FileSystem;
  directory: string;
  /** Ascending. */
  segments: readonly number[];
  /** The oldest segment that must be there, if the log ever had it. */
  floor: number;
  target: ReplayTarget;
}): Replay {
  const { fileSystem, directory, memory, floor } = parts;
  const opened: { segment: number; file: File; header: SegmentHeader | undefined }[] = [];
  const window = new Window(memory);
  const replay: Replay = { segments: [], dropped: [] };
  try {
    for (const segment of parts.segments) {
      const path = `${directory}/${logFileName(segment)}`;
      const file = fileSystem.openSync(path, 'write');
      opened.push({ segment, file, header: undefined });
      opened.at(-1)!.header = readHeader(memory, file, segment, path);
    }
    // A seal says that everything before its segment was on disk: nothing in front of the last one may be missing.
    const lastSealed = opened.findLastIndex(({ file, header }) => header !== undefined && isSealed(memory, file, header));
    for (let i = 0; i < opened.length; i++) {
      const { segment, file, header } = opened[i]!;
      const path = `${directory}/${logFileName(segment)}`;
      const sealed = i < lastSealed;
      if (header === undefined) {
        // Made, but its header never reached the disk: nothing in it was synced, unless somebody after it says so.
        if (sealed) throw corrupt(path, 0, 'its header is not readable');
        drop(window, directory, opened.slice(i), replay);
        break;
      }
      if (i === 0 && header.previousSegment >= floor && header.previousSegment !== 0) {
        if (lastSealed >= 0) throw corrupt(path, 0, `segment ${header.previousSegment}, which it follows, is missing`);
        // Nothing behind it was synced either: names get to the disk in any order, and power was lost in between.
        drop(window, directory, opened, replay);
        break;
      }
      const next = opened[i + 1];
      // One that follows another than this stood behind segments that are gone: they were dropped when the log was cut off here.
      const follows = next?.header?.previousSegment === segment;
      const limit = follows ? next!.header!.previousBytes : undefined;
      const { end, syncedTo } = replaySegment(window, file, path, segment, limit, parts.target);
      replay.segments.push({ segment, bytes: end, file });
      if (!sealed) writeAgain(window, file, syncedTo, end);
      if (next === undefined || end === limit) continue;
      if (sealed) {
        const stated = follows
          ? `the next segment states ${String(limit)} bytes on disk`
          : `what should follow, in front of segment ${next.segment}, is missing`;
        throw corrupt(path, end, `its frames end here, but ${stated}`);
      }
      drop(window, directory, opened.slice(i + 1), replay);
      break;
    }
  } catch (error) {
    for (const { file } of opened) file.closeSync();
    throw error;
  } finally {
    window.free();
  }
  return replay;
}

function drop(window: Window, directory: string, opened: readonly { segment: number; file: File }[], replay: Replay): void {
  for (const { segment, file } of opened) {
    assertTornEnd(window, file, `${directory}/${logFileName(segment)}`, segment, FRAMES_OFFSET, file.sizeSync());
  }
  for (const { segment, file } of opened) {
    file.closeSync();
    replay.dropped.push(segment);
  }
}

/**
 * What no later sync vouches for may be in the system's cache only, and for clean, when a sync failed in the life before: a sync of it
 * would succeed and bring nothing to the disk. Written again it is the writer's to sync, like anything else.
 */
function writeAgain(window: Window, file: File, from: number, end: number): void {
  // A segment without frames may be shorter than where they would begin.
  const stop = Math.min(end, file.sizeSync());
  for (let at = from; at < stop;) {
    const piece = Math.min(WRITE_AGAIN_BYTES, stop - at);
    const bytes = Math.min(window.read(file, at, piece, at + piece), piece);
    file.writeSync(window.memory.u8, window.at(at), bytes, at);
    at += bytes;
  }
}

/** Hands over the sound frames of one segment; returns where they end, and up to where they say that they are on disk. `limit`: where they must stop. */
function replaySegment(
  window: Window,
  file: File,
  path: string,
  segment: number,
  limit: number | undefined,
  target: ReplayTarget,
): { end: number; syncedTo: number } {
  const fileBytes = file.sizeSync();
  const end = limit === undefined ? fileBytes : Math.min(limit, fileBytes);
  const frames = new Window(window.memory, (bytes) => target.room(bytes, segment));
  let offset = FRAMES_OFFSET;
  let syncedTo = 0;
  try {
    while (offset < end) {
      const many = target.takeMany({ address: frames.at(offset), bytes: frames.ready(offset, end) }, segment);
      offset += many.bytes;
      if (many.syncedTo > FRAMES_OFFSET) syncedTo = many.syncedTo;
      if (offset === end) break;
      const frame = readFrame(frames, file, path, segment, offset, end);
      if (frame === undefined) break;
      if (!target.take(frame, segment)) {
        frames.forget();
        continue;
      }
      offset += frame.bytes;
      // A new segment says that it is synced to where its frames begin, before its header is.
      if (frame.syncedTo > FRAMES_OFFSET) syncedTo = frame.syncedTo;
    }
  } finally {
    frames.free();
  }
  if (offset < fileBytes && limit === undefined) assertTornEnd(window, file, path, segment, offset, fileBytes);
  return { end: offset, syncedTo };
}

/** A sound frame in the window: valid until the window reads again. */
export interface Frame {
  /** Address of its records. */
  records: number;
  recordBytes: number;
  recordCount: number;
  payloadBytes: number;
  /** Header, records and payload. */
  bytes: number;
  /** Up to where the segment was on disk when it was made. */
  syncedTo: number;
}

/**
 * The frame at `offset` with its payload, when both are sound and end by `end`; undefined otherwise. `corrupt/CORRUPT_LOG` when its
 * checksum holds but its records make no sense. With `unchecked` the large values may be damaged.
 */
export function readFrame(
  window: Window,
  file: File,
  path: string,
  segment: number,
  offset: number,
  end: number,
  payload: 'checked' | 'unchecked' = 'checked',
): Frame | undefined {
  const { kernel, u32 } = window.memory;
  let available = window.read(file, offset, FRAME_HEADER_BYTES, end);
  let state = kernel['checkFrame']!(window.at(offset), available, segment);
  if (state === -1 && available < end - offset) {
    const wanted = available < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : FRAME_HEADER_BYTES + u32[(window.at(offset) + 8) >>> 2]!;
    available = window.read(file, offset, Math.min(wanted, end - offset), end);
    state = kernel['checkFrame']!(window.at(offset), available, segment);
  }
  if (state !== 1) return undefined;
  // Before anything walks them.
  if (kernel['checkRecords']!(window.at(offset)) !== 1) throw corrupt(path, offset, 'a frame with a sound checksum holds no valid records');
  const header = window.at(offset) >>> 2;
  const recordBytes = u32[header + 2]!;
  const payloadBytes = u32[header + 3]!;
  const syncedTo = u32[header + 4]!;
  const recordCount = u32[header + 5]! & 0xffffff;
  const bytes = FRAME_HEADER_BYTES + recordBytes + payloadBytes;
  if (bytes > end - offset) return undefined;
  if (payloadBytes > 0 && payload === 'checked') {
    window.read(file, offset, bytes, end);
    if (!payloadsMatch(window, offset, FRAME_HEADER_BYTES + recordBytes, bytes)) return undefined;
  }
  return { records: window.at(offset) + FRAME_HEADER_BYTES, recordBytes, recordCount, payloadBytes, bytes, syncedTo };
}

/** Every pointer of the frame must refer into the frame's own payload and match it. */
function payloadsMatch(window: Window, offset: number, payloadFrom: number, frameBytes: number): boolean {
  const { kernel, u32 } = window.memory;
  const frame = window.at(offset);
  for (let pointer = kernel['nextPointer']!(frame, 0) >>> 0; pointer !== 0;) {
    const bytes = u32At(window, pointer + 4);
    const at = u32At(window, pointer + 8) - offset;
    if (at < payloadFrom || at + bytes > frameBytes) return false;
    if (kernel['checkPointer']!(pointer, frame + at) !== 1) return false;
    // The next record begins behind this pointer's 24 bytes, 8-aligned.
    pointer = kernel['nextPointer']!(frame, (pointer + 24 + 7) & ~7) >>> 0;
  }
  return true;

  function u32At(from: Window, address: number): number {
    return address % 4 === 0 ? u32[address >>> 2]! : from.memory.view.getUint32(address, true);
  }
}

/** What follows the last sound frame must be the leavings of unsynced writes. */
function assertTornEnd(window: Window, file: File, path: string, segment: number, broken: number, fileBytes: number): void {
  const found = findSyncedFrame(window, file, segment, broken, broken, fileBytes);
  if (found !== undefined) {
    throw corrupt(path, broken, `it was synced once (a frame at ${found} says so) and does not match its checksum now`);
  }
}

/** Offset of the first frame behind `after` that is sound and says that the segment was on disk beyond `syncedBeyond`. */
export function findSyncedFrame(
  window: Window,
  file: File,
  segment: number,
  after: number,
  syncedBeyond: number,
  fileBytes: number,
): number | undefined {
  const find = window.memory.kernel['findSyncedFrame']!;
  const step = WINDOW_BYTES / 2;
  for (let from = after + 8; from < fileBytes; from += step) {
    // Windows overlap by half, so that a frame of up to 2 MiB is whole in one of them.
    const available = window.read(file, from, Math.min(WINDOW_BYTES, fileBytes - from), fileBytes);
    const found = find(window.at(from), window.at(from) + available, from, syncedBeyond, segment) >>> 0;
    if (found !== 0) return from + found - window.at(from);
  }
  return undefined;
}

export function readHeader(memory: LinearMemory, file: File, segment: number, path: string): SegmentHeader | undefined {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  if (file.readSync(bytes, 0, bytes.length, 0) < bytes.length) return undefined;
  if (!endsWithChecksum(memory, bytes, segment)) return undefined;
  const header = decodeHeader(new DataView(bytes.buffer), 0, path);
  return header?.segment === segment ? header : undefined;
}

export function isSealed(memory: LinearMemory, file: File, header: SegmentHeader): boolean {
  const bytes = new Uint8Array(SEAL_BYTES);
  if (file.readSync(bytes, 0, bytes.length, SEAL_OFFSET) < bytes.length) return false;
  if (!endsWithChecksum(memory, bytes, header.segment)) return false;
  return isSealOf(new DataView(bytes.buffer), 0, header.previousSegment, header.previousBytes);
}

function endsWithChecksum(memory: LinearMemory, bytes: Uint8Array, segment: number): boolean {
  const expected = segmentChecksum(memory, bytes.subarray(0, bytes.length - 8), segment);
  return Buffer.compare(expected, bytes.subarray(bytes.length - 8)) === 0;
}

function corrupt(path: string, offset: number, what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_LOG', `${path} is corrupt at offset ${offset}: ${what}`, { file: path, offset });
}

/** A piece of a file in linear memory. */
export class Window {
  readonly memory: LinearMemory;
  /** Memory of somebody else to read to; undefined: it takes its own. */
  readonly #room: (bytes: number) => Room | undefined;
  /** Its own memory, from the first use on. */
  #own = 0;
  #capacity = 0;
  #address = 0;
  #from = 0;
  #bytes = 0;
  #file: File | undefined;

  constructor(memory: LinearMemory, room: (bytes: number) => Room | undefined = () => undefined) {
    this.memory = memory;
    this.#room = room;
  }

  /** Sees to it that `wanted` bytes from `offset` are in memory (or as many as there are before `end`); returns how many are. */
  read(file: File, offset: number, wanted: number, end: number): number {
    const has = this.#file === file && offset >= this.#from ? this.#from + this.#bytes - offset : 0;
    if (has >= wanted || (has > 0 && offset + has >= end)) return has;
    this.#file = undefined;
    const { address, bytes } = this.#room(wanted) ?? this.#ownRoom(wanted);
    this.#address = address;
    this.#bytes = file.readSync(this.memory.u8, address, Math.min(bytes, end - offset), offset);
    this.#from = offset;
    this.#file = file;
    return this.#bytes;
  }

  /** What has been replayed goes to tables if it must: nobody holds an address of it in between. */
  #allocate(bytes: number): number {
    for (;;) {
      try {
        return this.memory.allocate(bytes);
      } catch (error) {
        if (!isMemoryShort(error) || !this.memory.makeRoom()) throw error;
      }
    }
  }

  /** Address of a file offset that `read` brought in. */
  at(offset: number): number {
    return this.#address + (offset - this.#from);
  }

  /** How many bytes from `offset` on, up to `end`, of the file that was read last are in memory. */
  ready(offset: number, end: number): number {
    if (this.#file === undefined || offset < this.#from) return 0;
    return Math.max(0, Math.min(this.#from + this.#bytes, end) - offset);
  }

  /** What was read is not there any more. */
  forget(): void {
    this.#file = undefined;
  }

  free(): void {
    if (this.#capacity > 0) this.memory.free(this.#own, this.#capacity);
    this.#capacity = 0;
    this.#file = undefined;
  }

  #ownRoom(wanted: number): Room {
    if (wanted > this.#capacity) {
      this.free();
      const bytes = Math.max(wanted, WINDOW_BYTES);
      this.#own = this.#allocate(bytes);
      this.#capacity = bytes;
    }
    return { address: this.#own, bytes: this.#capacity };
  }
}
