/**
 * Packed pages: what stands in a table file for a page that is compressed.
 *
 *   packed page: | check u64 | packed bytes u16 | 0xffff u16 | codec u32 | block | zeros to 8 |
 *
 * block: bytes 8..PAGE_BYTES of the page (assembly/page.ts), compressed. packed bytes: header and block, without the zeros. check: XXH64 of
 * what follows it, zeros included, with the seed of the page. A page that is stored as it is has the bytes of its prefix where 0xffff
 * stands, and they are fewer: so a file's pages can be told apart from front to back, without the index.
 * LZ4 is done here; zstd by the host, which calls `pageSealPacked` and gets the block from `pageUnpack`. Twin: test/assembly/twins/page-pack.ts.
 */
import {
  CODEC_LZ4,
  CODEC_ZSTD,
  PACKED_BYTES_MAX,
  PACKED_HEADER_BYTES,
  PACKED_MARK,
  PAGE_BYTES,
  STORED_UNIT_BYTES,
  UNPACKED,
  UNPACK_ZSTD,
} from './memory-map';
import { xxh64 } from './checksum';
import { lz4Compress, lz4Decompress } from './lz4';
import { pageSeed } from './page';

/** What of a page is compressed: all but its check. */
const CONTENT_AT: i32 = 8;
const CONTENT_BYTES: i32 = PAGE_BYTES - CONTENT_AT;

/**
 * Packs a page by LZ4 to `packed`, which has room for PACKED_BYTES_MAX and SLACK_BYTES; `places`: LZ4_PLACES_BYTES. Returns the bytes to
 * store, or 0 when they would be more than PACKED_BYTES_MAX: then the page is stored as it is.
 */
export function pagePack(page: usize, packed: usize, places: usize, fileId: u32, number: u32): i32 {
  const room = PACKED_BYTES_MAX - PACKED_HEADER_BYTES;
  const bytes = lz4Compress(page + CONTENT_AT, CONTENT_BYTES, packed + PACKED_HEADER_BYTES, room, places);
  return bytes ? pageSealPacked(packed, bytes, CODEC_LZ4, fileId, number) : 0;
}

/** Writes the header of a packed page whose block of `bytes` lies behind it, and the zeros. Returns the bytes to store. */
export function pageSealPacked(packed: usize, bytes: i32, codec: u32, fileId: u32, number: u32): i32 {
  const packedBytes = PACKED_HEADER_BYTES + bytes;
  store<u64>(packed + packedBytes, 0);
  const stored = (packedBytes + STORED_UNIT_BYTES - 1) & -STORED_UNIT_BYTES;
  store<u16>(packed, <u16>packedBytes, 8);
  store<u16>(packed, <u16>PACKED_MARK, 10);
  store<u32>(packed, codec, 12);
  store<u64>(packed, xxh64(packed + 8, stored - 8, pageSeed(fileId, number)));
  return stored;
}

/**
 * Verifies the packed page of `stored` bytes at `packed` and puts the page at `page`; its check is left out: nobody looks at it any more.
 * UNPACKED; or UNPACK_ZSTD: the host is to decompress the block behind the header, of the packed bytes less the header's, to `page` + 8;
 * or 0: it is damaged, or not this page.
 */
export function pageUnpack(packed: usize, stored: i32, page: usize, fileId: u32, number: u32): i32 {
  if (stored < PACKED_HEADER_BYTES + STORED_UNIT_BYTES || stored > PACKED_BYTES_MAX || stored & (STORED_UNIT_BYTES - 1)) return 0;
  if (load<u64>(packed) != xxh64(packed + 8, stored - 8, pageSeed(fileId, number))) return 0;
  const packedBytes = <i32>load<u16>(packed, 8);
  if (<i32>load<u16>(packed, 10) != PACKED_MARK || packedBytes <= PACKED_HEADER_BYTES || packedBytes > stored) return 0;
  store<u64>(page, 0);
  const codec = load<u32>(packed, 12);
  if (codec == CODEC_ZSTD) return UNPACK_ZSTD;
  if (codec != CODEC_LZ4) return 0;
  const bytes = lz4Decompress(packed + PACKED_HEADER_BYTES, packedBytes - PACKED_HEADER_BYTES, page + CONTENT_AT, CONTENT_BYTES);
  return bytes == CONTENT_BYTES ? UNPACKED : 0;
}
