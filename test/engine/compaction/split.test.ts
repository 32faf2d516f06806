/**
 * Golden scripts of how compactions are divided: test/scripts/split/*.txt. A script states the inputs by their pages and shows the parts:
 *
 *   level 1: 3[a b:4 c - f] 4[g h - k]      table 3 has pages that begin with a, b (4 units of bytes; else 1) and c, and ends with f
 *   split 2 min 8                            in two parts of at least 8 units; what follows, up to an empty line, is the answer
 *   b to m: 3 pages 1-2 from 1, 7 bytes      a part: its bounds, of each table the pages that it reads, and where they begin; its bytes
 *
 * `UPDATE_SCRIPTS=1` writes the answers into the scripts; look at the difference.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CompactionPart, splitCompaction, type SplitInput } from '../../../engine/compaction/index.ts';
import type { TableMeta } from '../../../engine/table/index.ts';

const SCRIPTS = join(import.meta.dirname, '../../scripts/split');

function inputOf(level: number, fileId: number, pages: readonly { key: string; bytes: number }[], largest: string): SplitInput {
  const positions = [0];
  for (const { bytes } of pages) positions.push(positions.at(-1)! + bytes);
  const table = {
    fileId,
    smallest: Buffer.from(pages[0]!.key),
    largest: Buffer.from(largest),
    bytes: positions.at(-1)!,
  } as unknown as TableMeta;
  return {
    level,
    table,
    pages: { count: pages.length, key: (page) => Buffer.from(pages[page]!.key), position: (page) => positions[page]! },
  };
}

function parseTables(level: number, text: string): SplitInput[] {
  return [...text.matchAll(/(\d+)\[([^\]]*) - (\w+)\]/g)].map(([, fileId, pages, largest]) => {
    const parsed = pages!.split(' ').map((page) => page.split(':'));
    return inputOf(
      level,
      Number(fileId),
      parsed.map(([key, bytes]) => ({ key: key!, bytes: Number(bytes ?? 1) })),
      largest!,
    );
  });
}

function show({ from, to, inputs, bytes }: CompactionPart): string {
  const bound = (key: Uint8Array | undefined, none: string): string => (key ? Buffer.from(key).toString() : none);
  const tables = inputs.map(({ table, pages }) => `${table.fileId} pages ${pages!.first}-${pages!.end - 1} from ${pages!.position}`);
  return `${bound(from, 'first')} to ${bound(to, 'last')}: ${tables.join(', ')}; ${bytes} bytes`;
}

function run(script: string): string {
  const out: string[] = [];
  let inputs: SplitInput[] = [];
  let answering = false;
  for (const line of script.split('\n')) {
    if (line === '') {
      if (answering) inputs = [];
      answering = false;
    }
    if (answering) continue;
    out.push(line);
    const level = /^level (\d): (.*)$/.exec(line);
    const split = /^split (\d+) min (\d+)$/.exec(line);
    if (level) inputs.push(...parseTables(Number(level[1]), level[2]!));
    else if (split) {
      answering = true;
      out.push(...splitCompaction(inputs, Number(split[1]), Number(split[2])).map(show));
    } else if (line !== '' && !line.startsWith('#')) throw new Error(`a script does not say: ${line}`);
  }
  return out.join('\n');
}

for (const name of readdirSync(SCRIPTS).toSorted()) {
  test(`script ${name}`, () => {
    const path = join(SCRIPTS, name);
    const answered = run(readFileSync(path, 'utf8'));
    if (process.env['UPDATE_SCRIPTS'] === '1') writeFileSync(path, answered);
    expect(answered).toBe(readFileSync(path, 'utf8'));
  });
}

test('parts cover all keys, each with every page that may hold one of its own', () => {
  const table = fc.array(fc.tuple(fc.nat(999), fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(
      fc.array(table, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 200 }),
      (tables, max, min) => {
        const name = (n: number): string => String(n).padStart(3, '0');
        const inputs = tables.map((pages, i) => {
          const sorted = pages.toSorted(([a], [b]) => a - b);
          return inputOf(
            0,
            i + 1,
            sorted.map(([key, bytes]) => ({ key: name(key), bytes })),
            name(sorted.at(-1)![0]),
          );
        });
        const parts = splitCompaction(inputs, max, min);
        const total = inputs.reduce((sum, { table: { bytes } }) => sum + bytes, 0);
        expect(parts.length).toBeLessThanOrEqual(Math.max(1, Math.min(max, Math.floor(total / min))));
        expect([parts[0]!.from, parts.at(-1)!.to]).toEqual([undefined, undefined]);
        for (const [i, part] of parts.entries()) {
          if (i > 0) expect(part.from).toEqual(parts[i - 1]!.to);
          if (part.from && part.to) expect(Buffer.compare(part.from, part.to)).toBeLessThan(0);
          expect(part.inputs.length).toBeGreaterThan(0);
          for (const {
            table: { fileId },
            pages,
          } of inputs) {
            const range = part.inputs.find((each) => each.table.fileId === fileId)?.pages;
            expect(range === undefined || range.first < range.end).toBe(true);
            if (range) expect(range.position).toBe(pages.position(range.first));
            for (let page = 0; page < pages.count; page++) {
              // Its keys reach from its own up to, and with, the next one's.
              const last = page + 1 < pages.count ? pages.key(page + 1) : inputs[fileId - 1]!.table.largest;
              const isBelow = part.from !== undefined && Buffer.compare(last, part.from) < 0;
              const isAbove = part.to !== undefined && Buffer.compare(pages.key(page), part.to) >= 0;
              if (!isBelow && !isAbove) expect(range !== undefined && range.first <= page && page < range.end).toBe(true);
            }
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});
