/**
 * How pages of tables are compressed: which codecs there are, and the way from a page as a file has it to the page itself. Format of a packed
 * page: assembly/page-pack.ts, docs/formats/table.md.
 */
import { CODEC_LZ4, CODEC_PLAIN, CODEC_ZSTD, PACKED_HEADER_BYTES, PAGE_BYTES, UNPACKED, UNPACK_ZSTD } from '../../assembly/memory-map.ts';
import type { Zstd } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';

/** `lz4`: about half the bytes for 3 us a page read from a file. `zstd`: about a third for 25 us. */
export type PageCompression = 'none' | 'lz4' | 'zstd';

/** Compression by level: the deepest one that has tables, and those above. */
export interface LevelCompression {
  upper: PageCompression;
  bottom: PageCompression;
}

/** As a caller gives it: one for all levels, or by level. */
export type CompressionSetting = PageCompression | Partial<LevelCompression>;

export const PAGE_COMPRESSIONS: readonly PageCompression[] = ['none', 'lz4', 'zstd'];

export const CODECS: Record<PageCompression, number> = { none: CODEC_PLAIN, lz4: CODEC_LZ4, zstd: CODEC_ZSTD };

/** zstd, which this runtime must have then: `invalid/ZSTD_MISSING` says what does. */
export function requireZstd(zstd: Zstd | undefined, what: string): Zstd {
  if (zstd) return zstd;
  throw new SparrowError(
    'invalid',
    'ZSTD_MISSING',
    `${what} is compressed by zstd, which this runtime does not have: use Node 22.15, 23.8 or later`,
    {
      what,
    },
  );
}

/**
 * Brings the packed page of `stored` bytes at `packed` to `page`, both in linear memory. Whether it was whole: `false` is for the caller to
 * report with file and offset.
 */
export function unpackPage(
  memory: LinearMemory,
  zstd: Zstd | undefined,
  packed: { readonly address: number; readonly stored: number },
  page: { readonly address: number; readonly fileId: number; readonly number: number },
): boolean {
  const { kernel, u8, u16 } = memory;
  const answer = kernel['pageUnpack']!(packed.address, packed.stored, page.address, page.fileId, page.number);
  if (answer !== UNPACK_ZSTD) return answer === UNPACKED;
  const { decompressSync } = requireZstd(zstd, `page ${page.number} of table ${page.fileId}`);
  const block = u8.slice(packed.address + PACKED_HEADER_BYTES, packed.address + u16[(packed.address + 8) >>> 1]!);
  let content: Uint8Array;
  try {
    content = decompressSync(block, PAGE_BYTES - 8);
  } catch {
    return false;
  }
  if (content.length !== PAGE_BYTES - 8) return false;
  u8.set(content, page.address + 8);
  return true;
}
