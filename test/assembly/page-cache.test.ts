import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  BAD_PAGE,
  CELLS_FREE,
  CURSORS,
  CURSOR_BYTES,
  FRONT,
  NEED_FRAME,
  NEED_PAGE,
  NEED_TABLE_HEADER,
  PAGE_BYTES,
  TABLE_FILE_ID,
  TABLE_FRAMES,
  TABLE_HEADER_BYTES,
  TABLE_PAGES,
} from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { PageCache } from '../../engine/table/index.ts';
import { PageCacheTwin } from './twins/page-cache.ts';
import { encodePage } from './twins/page.ts';

const TABLES = 4;
const PAGES = 60;
const CURSORS_USED = 16;
const memory = new LinearMemory(64 * 1024 * 1024);
const { kernel, u8, u32 } = memory;
const cell = (offset: number): number => u32[(FRONT + offset) >>> 2]!;

let cache: PageCache;
let tables: number[];

beforeEach(() => {
  cache = new PageCache(memory, 0);
  cache.bind(FRONT);
  tables = Array.from({ length: TABLES }, (_, i) => {
    const table = memory.allocateSmall(TABLE_HEADER_BYTES);
    // The last one has its frames in the buckets, as one has whose index is not in memory.
    u32[(table + TABLE_FRAMES) >>> 2] = i < TABLES - 1 ? memory.allocateSmall(PAGES * 4) : 0;
    u32[(table + TABLE_PAGES) >>> 2] = PAGES;
    u32[(table + TABLE_FILE_ID) >>> 2] = i + 1;
    return table;
  });
});

afterEach(() => {
  for (const table of tables) memory.freeSmall(table, TABLE_HEADER_BYTES);
  cache.free();
});

const contents = new Map<string, Uint8Array>();

/** The page's content: its own numbers as a value. */
function pageOf(table: number, page: number): Uint8Array {
  const name = `${table}/${page}`;
  let content = contents.get(name);
  if (content === undefined) {
    content = encodePage([{ key: Uint8Array.of(1), sequence: 1, kind: 1, flags: 0, value: Uint8Array.of(table, page) }], table + 1, page);
    contents.set(name, content);
  }
  return content;
}

interface Way {
  scan: boolean;
  abandon: boolean;
}

/** What a read did: the number of the page's frame (the cache begins with frame 0), and whether it was loaded for it. */
interface Outcome {
  frame: number;
  loaded: boolean;
}

function read(table: number, page: number, way: Way, base: number): Outcome {
  let frame = kernel[way.scan ? 'frameOfScan' : 'frameOf']!(FRONT, tables[table]!, page);
  const loaded = frame === 0;
  if (loaded) {
    frame = cell(NEED_FRAME);
    if (cell(NEED_TABLE_HEADER) !== tables[table] || cell(NEED_PAGE) !== page) throw new Error('another page is asked for');
    if (!way.abandon) {
      u8.set(pageOf(table, page), frame);
      if (kernel['pageLoaded']!(FRONT) !== 1) throw new Error('the page does not verify');
    }
  }
  return { frame: (frame - base) / PAGE_BYTES, loaded };
}

function readTwin(twin: PageCacheTwin, table: number, page: number, way: Way): Outcome {
  const named = { name: `${table}/${page}`, fileId: table + 1, page };
  const known = twin.find(named, way.scan);
  if (known !== undefined) return { frame: known, loaded: false };
  const frame = twin.room(way.scan);
  if (!way.abandon) twin.link(frame, named, way.scan);
  return { frame, loaded: true };
}

function clear(): void {
  cache.free();
  cache = new PageCache(memory, 0);
  cache.bind(FRONT);
  for (const table of tables) {
    const frames = u32[(table + TABLE_FRAMES) >>> 2]! >>> 2;
    if (frames !== 0) u32.fill(0, frames, frames + PAGES);
  }
  for (let i = 0; i < CURSORS_USED; i++) u32[(FRONT + CURSORS + i * CURSOR_BYTES) >>> 2] = 0;
  u32[(FRONT + CELLS_FREE) >>> 2] = CURSORS_USED;
}

describe('page cache', () => {
  test('keeps and gives up the pages that its twin does', () => {
    const step = fc.oneof(
      { weight: 25, arbitrary: fc.record({ do: fc.constant('read' as const), table: fc.nat(TABLES - 1), page: fc.nat(PAGES - 1) }) },
      // As scans go: some pages one after another.
      { weight: 4, arbitrary: fc.record({ do: fc.constant('scan' as const), table: fc.nat(TABLES - 1), page: fc.nat(PAGES - 1) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('abandon' as const), table: fc.nat(TABLES - 1), page: fc.nat(PAGES - 1) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('pin' as const),
          cursor: fc.nat(CURSORS_USED - 1),
          table: fc.nat(TABLES - 1),
          page: fc.nat(PAGES - 1),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), table: fc.nat(TABLES - 1), page: fc.constant(0) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600, size: 'max' }), (steps) => {
        clear();
        const base = u32[cache.address >>> 2]!;
        const twin = new PageCacheTwin(cache.frames);
        const pins = new Map<number, number>();
        for (const each of steps) {
          const { table, page } = each;
          if (each.do === 'drop') {
            kernel['cacheDropTable']!(cache.address, tables[table]!);
            twin.drop(table + 1, table < TABLES - 1);
            continue;
          }
          const way = { scan: each.do === 'scan', abandon: each.do === 'abandon' };
          for (let on = page + 1; way.scan && on < Math.min(PAGES, page + 12); on++) {
            expect(read(table, on, way, base)).toEqual(readTwin(twin, table, on, way));
          }
          const outcome = read(table, page, way, base);
          expect(outcome).toEqual(readTwin(twin, table, page, way));
          const address = base + outcome.frame * PAGE_BYTES;
          expect(way.abandon || Buffer.compare(u8.slice(address, address + PAGE_BYTES), pageOf(table, page)) === 0).toBe(true);
          if (each.do !== 'pin') continue;
          u32[(FRONT + CURSORS + each.cursor * CURSOR_BYTES) >>> 2] = address;
          pins.set(each.cursor, outcome.frame);
          twin.pins.clear();
          for (const frame of pins.values()) twin.pins.add(frame);
        }
        expect(cache.stats().used).toBe(twin.used);
      }),
      { numRuns: 60, interruptAfterTimeLimit: 20_000 },
    );
  });

  test('refuses a page that is damaged, of another table or of another place', () => {
    const want = (): number => {
      expect(kernel['frameOf']!(FRONT, tables[0]!, 5)).toBe(0);
      return cell(NEED_FRAME);
    };
    const damaged = Uint8Array.from(pageOf(0, 5));
    damaged[8191]! ^= 1;
    for (const content of [damaged, pageOf(1, 5), pageOf(0, 6), new Uint8Array(PAGE_BYTES)]) {
      u8.set(content, want());
      expect(kernel['pageLoaded']!(FRONT)).toBe(BAD_PAGE);
    }
    const frame = want();
    u8.set(pageOf(0, 5), frame);
    expect(kernel['pageLoaded']!(FRONT)).toBe(1);
    expect(kernel['frameOf']!(FRONT, tables[0]!, 5)).toBe(frame);
  });
});
