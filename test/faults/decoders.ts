/**
 * Decoders under bytes that nobody wrote. Each case spoils something sound and makes its checksums right again, so that what lies behind them is
 * reached; then the decoder, or a whole store, must give a value or a SparrowError: no other error, no hang, no memory that the input did not
 * ask for in good faith.
 */
import { FRAMES_OFFSET } from '../../engine/log/index.ts';
import { assert } from '../../base/assert.ts';
import { SparrowError, type ErrorKind } from '../../base/errors.ts';
import { readVarint, varintBytes, writeVarint } from '../../base/varint.ts';
import { xxh64 } from '../../base/xxh64.ts';
import { createResources, open } from '../../engine/index.ts';
import { CURRENT_NAME, decodeEdit, decodeManifest, encodeEdit, manifestName } from '../../engine/manifest/index.ts';
import { decodeCurrent, encodeManifestFrame, encodeManifestHeader } from '../../engine/manifest/manifest-format.ts';
import { SECTION_FOOTER, SECTION_PROPERTIES, SECTION_TOP, sectionPages, tableLayout } from '../../engine/table/table-format.ts';
import { readFooter } from '../../engine/table/read-table.ts';
import { openTableFile, readTableMeta } from '../../engine/table/index.ts';
import { ALL_KEYS, DIRECTORY, diskOf, OWN_SETTINGS, SHARED_SETTINGS, type StoreImage } from '../corruption/stores.ts';
import type { SimFileSystem } from '../sim/sim-file-system.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import { mutate, spoil } from './mutate.ts';

/** What spoilt bytes may be answered with. An assertion is for our bugs: bytes from a disk must not reach one. */
const ANSWERS: readonly ErrorKind[] = ['corrupt', 'invalid', 'exhausted', 'closed'];
const READS_MAX = 5000;
/** Of all stores: what one of them keeps of it when it is closed, or refused, the next ones lack. */
const RESOURCES = createResources(SHARED_SETTINGS);
/** Memory in use while no store is open, after one that is sound. */
let restingBytes: number | undefined;

/** One case. Throws when something was not as it must be. Returns whether the bytes were taken for sound. */
export type DecoderCase = (random: SimRandom, image: StoreImage) => Promise<boolean> | boolean;

export const DECODERS: Readonly<Record<string, DecoderCase>> = {
  varint(random) {
    const bytes = new Uint8Array(1 + random.below(12));
    random.fill(bytes);
    const cursor = { bytes, offset: 0, end: bytes.length };
    const value = readVarint(cursor);
    if (cursor.offset > bytes.length) throw new Error('a varint reads past the end');
    if (value === undefined) return false;
    const again = new Uint8Array(varintBytes(value));
    if (!Number.isSafeInteger(value) || writeVarint(again, 0, value) !== cursor.offset)
      throw new Error(`${value} was not in its only form`);
    return true;
  },

  'version edit'(random, image) {
    const { bytes, edits } = manifestOf(image);
    const { offset, end } = random.pick(edits);
    return answers(() => {
      const edit = decodeEdit(mutate(bytes.slice(offset, end), random));
      // What was taken means something, and that can be written again.
      decodeEdit(encodeEdit(edit));
    });
  },

  'manifest behind its checksums': async (random, image) => {
    const { name, id, bytes, edits } = manifestOf(image);
    const spoilt = random.below(edits.length);
    const frames = edits.map(({ offset, end }, i) => {
      const edit = bytes.slice(offset, end);
      return encodeManifestFrame([i === spoilt ? mutate(edit, random) : edit], id);
    });
    return useStore(image, new Map(image.files).set(name, Buffer.concat([encodeManifestHeader(id), ...frames])));
  },

  'manifest frames behind their checksum'(random, image) {
    const { name, id, bytes } = manifestOf(image);
    const copy = spoil(bytes, random);
    // The first frame's length may be anything; its checksum holds for what it claims to be.
    const view = new DataView(copy.buffer);
    const length = Math.min(8 + view.getUint32(32, true), copy.length - 32);
    putCheck(view, 24, xxh64(copy, 32, length, id));
    putCheck(view, 16, xxh64(copy, 0, 16, id));
    return answers(() => void decodeManifest(copy, id, name));
  },

  CURRENT: (random, image) => answers(() => void decodeCurrent(mutate(image.files.get(CURRENT_NAME)!, random), CURRENT_NAME)),

  'log frame behind its checksum': async (random, image) => {
    const [name, bytes] = random.pick(logsOf(image));
    const segment = Number.parseInt(name, 10);
    const frames = framesOf(bytes);
    const { begin, end } = random.pick(frames);
    const copy = Uint8Array.from(bytes);
    copy.set(spoil(copy.subarray(begin + 8, end), random), begin + 8);
    const view = new DataView(copy.buffer);
    const recordBytes = Math.min(view.getUint32(begin + 8, true), copy.length - begin - 24);
    putCheck(view, begin, xxh64(copy, begin + 8, Math.max(0, recordBytes) + 16, segment));
    return useStore(image, new Map(image.files).set(name, copy));
  },

  'log header and seal behind their checksums': async (random, image) => {
    const [name, bytes] = random.pick(logsOf(image));
    const segment = Number.parseInt(name, 10);
    const copy = Uint8Array.from(bytes);
    copy.set(spoil(copy.subarray(0, 56), random));
    if (random.chance(0.5)) copy.set(spoil(copy.subarray(512, 536), random), 512);
    const view = new DataView(copy.buffer);
    putCheck(view, 56, xxh64(copy, 0, 56, segment));
    putCheck(view, 536, xxh64(copy, 512, 24, segment));
    return useStore(image, new Map(image.files).set(name, copy));
  },

  'table sections behind their checksums': async (random, image) => {
    const { name, fileId, bytes } = anyTable(image, random);
    const disk = diskOf(image.files);
    const file = openTableFile(disk, `${DIRECTORY}/${name}`);
    const footer = readFooter(file, name, fileId);
    file.closeSync();
    const at = tableLayout(footer);
    const copy = Uint8Array.from(bytes);
    const view = new DataView(copy.buffer);
    const section = random.below(5);
    const [from, to] = [
      [at.filter, at.index],
      [at.index, at.top],
      [at.top, at.properties],
      [at.properties, at.footer],
      [at.footer, at.footer + 64],
    ][section]!;
    copy.set(spoil(copy.subarray(from, to), random), from);
    // Each page of filter and index has a check of its own; of the last one not all is stored.
    const seal = (begin: number, end: number, first: number): void => {
      for (let page = begin, number = first; page < end; page += 8192, number++) {
        const whole = new Uint8Array(8192);
        whole.set(copy.subarray(page, Math.min(page + 8192, end)));
        putCheck(view, page, xxh64(whole, 8, 8184, number, fileId));
      }
    };
    seal(at.filter, at.index, footer.pages);
    seal(at.index, at.top, footer.pages + sectionPages(footer.filterBytes));
    putCheck(view, at.footer + 48, xxh64(copy, at.top, at.properties - at.top, SECTION_TOP, fileId));
    putCheck(view, at.footer + 56, xxh64(copy, at.properties, at.footer - at.properties, SECTION_PROPERTIES, fileId));
    putCheck(view, at.footer + 64, xxh64(copy, at.footer, 64, SECTION_FOOTER, fileId));
    const files = new Map(image.files).set(name, copy);
    answers(() => void readTableMeta(diskOf(files), DIRECTORY, fileId));
    return useStore(image, files);
  },

  'block file header': async (random, image) => {
    const [name, bytes] = [...image.files].find(([each]) => each.endsWith('.block'))!;
    const copy = Uint8Array.from(bytes);
    copy.set(spoil(copy.subarray(0, 56), random));
    putCheck(new DataView(copy.buffer), 56, xxh64(copy, 0, 56, Number.parseInt(name, 10)));
    return useStore(image, new Map(image.files).set(name, copy));
  },
};

/** Whether `decode` takes it; a SparrowError of an answer's kind otherwise. */
function answers(decode: () => void): boolean {
  try {
    decode();
    return true;
  } catch (error) {
    expectAnswer(error);
    return false;
  }
}

function expectAnswer(error: unknown): void {
  if (!(error instanceof SparrowError) || !ANSWERS.includes(error.kind)) throw error;
}

/** Opens the store, reads all of it in two ways, writes, flushes and compacts. Values may be anything: their checksums were made for them. */
async function useStore(image: StoreImage, files: ReadonlyMap<string, Uint8Array>): Promise<boolean> {
  if (restingBytes === undefined) {
    restingBytes = await bytesAfter(image);
    assert(await useStore(image, image.files), 'a store that nobody has spoilt is sound');
  }
  const disk: SimFileSystem = diskOf(files);
  let sound = true;
  const attempt = async (use: () => unknown): Promise<void> => {
    try {
      await use();
    } catch (error) {
      expectAnswer(error);
      sound = false;
    }
  };
  await attempt(async () => {
    const engine = await open(DIRECTORY, OWN_SETTINGS, { fileSystem: disk, resources: RESOURCES });
    for (const key of ALL_KEYS) await attempt(() => engine.getEntrySync(key));
    await attempt(() => [...engine.scanSync()]);
    await attempt(() => [...engine.scanSync({ reverse: true })]);
    await attempt(() => engine.put('after', 'x'));
    await attempt(() => engine.flush());
    await attempt(() => engine.settled());
    await attempt(() => engine.close());
  });
  const { linearMemoryBytes } = RESOURCES.stats();
  if (linearMemoryBytes !== restingBytes) throw new Error(`${linearMemoryBytes} bytes of memory are in use, not ${restingBytes}`);
  if (disk.openFiles.length > 0) throw new Error(`files are left open: ${disk.openFiles.join(' ')}`);
  if (disk.reads > READS_MAX) throw new Error(`${disk.reads} reads`);
  return sound;
}

/** Memory in use when the store has been opened, used and closed. */
async function bytesAfter({ files }: StoreImage): Promise<number> {
  const engine = await open(DIRECTORY, OWN_SETTINGS, { fileSystem: diskOf(files), resources: RESOURCES });
  await engine.put('after', 'x');
  await engine.flush();
  await engine.close();
  return RESOURCES.stats().linearMemoryBytes;
}

function manifestOf(image: StoreImage): { name: string; id: number; bytes: Uint8Array; edits: readonly { offset: number; end: number }[] } {
  const id = decodeCurrent(image.files.get(CURRENT_NAME)!, CURRENT_NAME);
  const name = manifestName(id);
  const bytes = image.files.get(name)!;
  return { name, id, bytes, edits: decodeManifest(bytes, id, name).edits };
}

/** Segments that opening replays. */
function logsOf(image: StoreImage): [string, Uint8Array][] {
  return [...image.files].filter(([name]) => name.endsWith('.log')).slice(-2);
}

function framesOf(bytes: Uint8Array): { begin: number; end: number }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: { begin: number; end: number }[] = [];
  for (let begin = FRAMES_OFFSET; begin + 24 < bytes.length;) {
    const end = begin + 24 + view.getUint32(begin + 8, true);
    if (end === begin + 24) break;
    frames.push({ begin, end });
    begin = end + view.getUint32(begin + 12, true);
  }
  return frames;
}

function anyTable(image: StoreImage, random: SimRandom): { name: string; fileId: number; bytes: Uint8Array } {
  const [name, bytes] = random.pick([...image.files].filter(([each]) => each.endsWith('.table')));
  return { name, fileId: Number.parseInt(name, 10), bytes };
}

function putCheck(view: DataView, at: number, { low, high }: { low: number; high: number }): void {
  view.setUint32(at, low, true);
  view.setUint32(at + 4, high, true);
}
