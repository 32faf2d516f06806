/**
 * The bytes of a manifest file and of CURRENT. Format: docs/formats/manifest.md. Pure.
 *
 *   manifest: | header, 24 bytes | frame x n |
 *   header:   | magic u64 "SPKVMAN1" | format version u32 | manifest id u32 | check u64 |
 *   frame:    | check u64 | edit bytes u32 | marker u32 "EDIT" | { bytes varint | edit } x m, edit bytes in all |
 *
 *   check of the header: XXH64 of the 16 bytes before it; of a frame: XXH64 of all that follows it. Seed: the manifest id.
 *
 * A frame is what one sync made durable: the edits of a frame were all acknowledged or none was, and no frame is begun before the one
 * before it is on disk. So a broken frame with nothing valid behind it was never acknowledged and is dropped; with a valid one behind
 * it, something that was on disk has been damaged.
 *
 *   CURRENT:  MANIFEST-NNNNNN SP check LF      check: XXH64 of the name, seed 0, 16 hexadecimal digits
 */
import { SparrowError } from '../../base/errors.ts';
import { newerFormat, olderFormat } from '../../base/format-version.ts';
import { readVarint, varintBytes, writeVarint } from '../../base/varint.ts';
import { xxh64 } from '../../base/xxh64.ts';
import { manifestName, parseFileName } from './file-names.ts';
import { FORMAT_VERSION } from './version-edit.ts';

export const MANIFEST_HEADER_BYTES = 24;
export const MANIFEST_FRAME_HEADER_BYTES = 16;
const MAGIC: Uint8Array = new TextEncoder().encode('SPKVMAN1');
/** "EDIT" as a little-endian word. */
const MARKER = 0x54494445;

export function encodeManifestHeader(manifestId: number): Uint8Array {
  const bytes = new Uint8Array(MANIFEST_HEADER_BYTES);
  const view = viewOf(bytes);
  bytes.set(MAGIC);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, manifestId, true);
  writeCheck(view, 16, bytes, 0, 16, manifestId);
  return bytes;
}

export function encodeManifestFrame(edits: readonly Uint8Array[], manifestId: number): Uint8Array {
  let editBytes = 0;
  for (const edit of edits) editBytes += varintBytes(edit.length) + edit.length;
  const bytes = new Uint8Array(MANIFEST_FRAME_HEADER_BYTES + editBytes);
  const view = viewOf(bytes);
  view.setUint32(8, editBytes, true);
  view.setUint32(12, MARKER, true);
  let at = MANIFEST_FRAME_HEADER_BYTES;
  for (const edit of edits) {
    at = writeVarint(bytes, at, edit.length);
    bytes.set(edit, at);
    at += edit.length;
  }
  writeCheck(view, 0, bytes, 8, bytes.length - 8, manifestId);
  return bytes;
}

/** The frames of a manifest file. */
export interface DecodedManifest {
  /** Where each edit lies, in order. */
  readonly edits: readonly { readonly offset: number; readonly end: number }[];
  /** Where the last sound frame begins; all before it is on disk, or it would not have been begun. */
  readonly lastFrame: number;
  /** Where the sound frames end. */
  readonly bytes: number;
}

/** `corrupt/CORRUPT_MANIFEST` with file and offset, `invalid/FORMAT_NEWER` or `invalid/FORMAT_OLDER`. */
export function decodeManifest(bytes: Uint8Array, manifestId: number, file: string): DecodedManifest {
  expectHeader(bytes, manifestId, file);
  const edits: { offset: number; end: number }[] = [];
  let offset = MANIFEST_HEADER_BYTES;
  let lastFrame = offset;
  for (;;) {
    const end = frameEnd(bytes, offset, manifestId);
    if (end === undefined) break;
    const cursor = { bytes, offset: offset + MANIFEST_FRAME_HEADER_BYTES, end };
    while (cursor.offset < end) {
      const length = readVarint(cursor);
      if (length === undefined || length > end - cursor.offset)
        throw corruptManifest(file, cursor.offset, 'a sound frame holds a malformed edit');
      edits.push({ offset: cursor.offset, end: cursor.offset + length });
      cursor.offset += length;
    }
    lastFrame = offset;
    offset = end;
  }
  const later = nextFrame(bytes, offset + 1, manifestId);
  if (later !== undefined)
    throw corruptManifest(file, offset, `a version edit does not match its checksum, and a sound one follows at ${later}`);
  if (edits.length === 0) throw corruptManifest(file, offset, 'it has no sound version edit');
  return { edits, lastFrame, bytes: offset };
}

/** The bytes of every edit in a sound frame, wherever in the file it stands: of a manifest that may be damaged. `invalid/FORMAT_*`. */
export function soundFrames(bytes: Uint8Array, manifestId: number, file: string): { readonly offset: number; readonly end: number }[] {
  try {
    expectHeader(bytes, manifestId, file);
  } catch (error) {
    // Damage is what is expected here; another format's frames are nothing to look for.
    if (error instanceof SparrowError && error.kind === 'invalid') throw error;
  }
  const edits: { offset: number; end: number }[] = [];
  for (let at = nextFrame(bytes, MANIFEST_HEADER_BYTES, manifestId); at !== undefined;) {
    const end = frameEnd(bytes, at, manifestId)!;
    const cursor = { bytes, offset: at + MANIFEST_FRAME_HEADER_BYTES, end };
    while (cursor.offset < end) {
      const length = readVarint(cursor);
      if (length === undefined || length > end - cursor.offset) break;
      edits.push({ offset: cursor.offset, end: cursor.offset + length });
      cursor.offset += length;
    }
    at = nextFrame(bytes, end, manifestId);
  }
  return edits;
}

export function encodeCurrent(manifestId: number): Uint8Array {
  const name = manifestName(manifestId);
  return new TextEncoder().encode(`${name} ${checkOfName(name)}\n`);
}

/** The manifest's id that CURRENT names, or `corrupt/CORRUPT_MANIFEST`. */
export function decodeCurrent(bytes: Uint8Array, file: string): number {
  const match = /^(MANIFEST-\d{6,10}) ([0-9a-f]{16})\n$/.exec(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'),
  );
  const parsed = match && parseFileName(match[1]!);
  if (!parsed || checkOfName(match[1]!) !== match[2]) throw corruptManifest(file, 0, 'it does not name a manifest');
  return parsed.id;
}

export function corruptManifest(file: string, offset: number, what: string, cause?: unknown): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_MANIFEST', `${file} is corrupt at offset ${offset}: ${what}`, { file, offset }, cause);
}

function expectHeader(bytes: Uint8Array, manifestId: number, file: string): void {
  const view = viewOf(bytes);
  const ours = bytes.length >= MANIFEST_HEADER_BYTES && MAGIC.every((byte, i) => bytes[i] === byte);
  if (!ours || !checkMatches(view, 16, bytes, 0, 16, manifestId)) throw corruptManifest(file, 0, 'its header does not match its checksum');
  const version = view.getUint32(8, true);
  if (version > FORMAT_VERSION) throw newerFormat(file, version, FORMAT_VERSION);
  if (version < FORMAT_VERSION) throw olderFormat(file, version, FORMAT_VERSION);
}

/** End of the sound frame at `offset`, or undefined. */
function frameEnd(bytes: Uint8Array, offset: number, manifestId: number): number | undefined {
  if (offset + MANIFEST_FRAME_HEADER_BYTES > bytes.length) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(offset + 12, true) !== MARKER) return undefined;
  const end = offset + MANIFEST_FRAME_HEADER_BYTES + view.getUint32(offset + 8, true);
  if (end > bytes.length || !checkMatches(view, offset, bytes, offset + 8, end - offset - 8, manifestId)) return undefined;
  return end;
}

/** The first sound frame that begins at `from` or later. The marker keeps this from hashing at every byte. */
function nextFrame(bytes: Uint8Array, from: number, manifestId: number): number | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const marker = Buffer.from('EDIT');
  for (let at = buffer.indexOf(marker, from + 12); at >= 0; at = buffer.indexOf(marker, at + 1)) {
    if (frameEnd(bytes, at - 12, manifestId) !== undefined) return at - 12;
  }
  return undefined;
}

function writeCheck(view: DataView, at: number, bytes: Uint8Array, offset: number, length: number, seed: number): void {
  const { low, high } = xxh64(bytes, offset, length, seed);
  view.setUint32(at, low, true);
  view.setUint32(at + 4, high, true);
}

function checkMatches(view: DataView, at: number, bytes: Uint8Array, offset: number, length: number, seed: number): boolean {
  const { low, high } = xxh64(bytes, offset, length, seed);
  return view.getUint32(at, true) === low && view.getUint32(at + 4, true) === high;
}

function checkOfName(name: string): string {
  const bytes = new TextEncoder().encode(name);
  const { high, low } = xxh64(bytes, 0, bytes.length, 0);
  return [high, low].map((half) => half.toString(16).padStart(8, '0')).join('');
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
