/**
 * Damage to one file of a store: each of its bytes flipped, every length that it could be cut to, the file gone, or holding what belongs into
 * another. For each the test knows what the rest of the store still vouches for.
 *
 * A log's frames say up to where the segment was on disk when they were made (docs/formats/log.md): the frames before that must not be
 * lost. What no later frame vouches for cannot be told from the torn end that power loss leaves.
 */
import type { StoreImage } from './stores.ts';

export type Damage =
  | { readonly file: string; readonly flip: number; readonly mask: number }
  | { readonly file: string; readonly length: number }
  | { readonly file: string; readonly gone: true }
  /** A write that went to the wrong file: sound bytes of another one, in the same place. */
  | { readonly file: string; readonly from: string; readonly at: number; readonly bytes: number };

export function describeDamage(damage: Damage): string {
  if ('from' in damage) return `${damage.file} with ${damage.bytes} bytes of ${damage.from} at ${damage.at}`;
  if ('flip' in damage) return `${damage.file}, byte ${damage.flip} ^ ${damage.mask}`;
  return 'length' in damage ? `${damage.file} cut to ${damage.length}` : `${damage.file} gone`;
}

/** Every damage, file by file. `masks`: how each byte is flipped. */
export function* everyDamage(image: StoreImage, masks: (position: number) => readonly number[]): Generator<Damage> {
  for (const [file, bytes] of image.files) {
    yield { file, gone: true };
    for (let length = 0; length < bytes.length; length++) yield { file, length };
    for (let flip = 0; flip < bytes.length; flip++) for (const mask of masks(flip)) yield { file, flip, mask };
  }
}

export function damaged(image: StoreImage, damage: Damage): ReadonlyMap<string, Uint8Array> {
  const files = new Map(image.files);
  const bytes = files.get(damage.file)!;
  if ('gone' in damage) files.delete(damage.file);
  else if ('from' in damage) {
    const misplaced = files.get(damage.from)!.subarray(damage.at, damage.at + damage.bytes);
    const overwritten = new Uint8Array(Math.max(bytes.length, damage.at + misplaced.length));
    overwritten.set(bytes);
    overwritten.set(misplaced, damage.at);
    files.set(damage.file, overwritten);
  } else if ('length' in damage) files.set(damage.file, bytes.subarray(0, damage.length));
  else {
    const flipped = Uint8Array.from(bytes);
    flipped[damage.flip]! ^= damage.mask;
    files.set(damage.file, flipped);
  }
  return files;
}

interface Frame {
  readonly begin: number;
  readonly end: number;
  readonly syncedTo: number;
  readonly sequence: number;
}

const FRAMES_OFFSET = 1024;
const FRAME_HEADER_BYTES = 24;

function framesOf(bytes: Uint8Array): Frame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: Frame[] = [];
  for (let begin = FRAMES_OFFSET; begin + FRAME_HEADER_BYTES < bytes.length;) {
    const recordBytes = view.getUint32(begin + 8, true);
    if (recordBytes === 0) break;
    const end = begin + FRAME_HEADER_BYTES + recordBytes + view.getUint32(begin + 12, true);
    const sequence = Number(view.getBigUint64(begin + FRAME_HEADER_BYTES + 8, true));
    frames.push({ begin, end, syncedTo: view.getUint32(begin + 16, true), sequence });
    begin = end;
  }
  return frames;
}

/** The number of batches that something undamaged vouches for. Only damage to the newest log segment can take batches away unnoticed. */
export function vouchedFor(image: StoreImage, damage: Damage): number {
  const logs = [...image.files.keys()].filter((name) => name.endsWith('.log'));
  const newest = logs.at(-1);
  if (damage.file !== newest) return image.batches;
  const frames = framesOf(image.files.get(newest)!);
  const before = (frames[0]?.sequence ?? image.batches + 1) - 1;
  const hurt = ({ begin, end }: Frame): boolean => {
    if ('gone' in damage) return true;
    if ('length' in damage) return end > damage.length;
    if ('from' in damage) return begin < damage.at + damage.bytes && end > damage.at;
    return damage.flip >= begin && damage.flip < end;
  };
  const sound = frames.filter((frame) => !hurt(frame));
  const syncedTo = Math.max(0, ...sound.map((frame) => frame.syncedTo));
  // Frames from the start on that are sound, or that a sound one says were on disk.
  let floor = before;
  for (const frame of frames) {
    if (frame.end > syncedTo && hurt(frame)) break;
    floor = frame.sequence;
  }
  return floor;
}
