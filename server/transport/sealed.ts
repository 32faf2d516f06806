/**
 * A check in front of bytes that travel between nodes:
 *
 *   | check u64 | bytes ... |        check: XXH64 of the bytes, pieces of 1 MiB one after another, each seeded with the check before it; first seed 0
 *
 * TCP's own checksum lets one corrupted packet in some ten thousand pass, and says nothing of what happens in between (proxies, memory of
 * network cards). What gets into a log on a majority is there for good, so nothing is taken from a stream without a check that means
 * something; with TLS it is there twice, at a fiftieth of what gRPC costs. Pieces, because the hash keeps memory for what it is given at a time.
 * What is wrong before it is sealed, or after it was opened, is for the checks of the log's own frames.
 * Format: docs/formats/raft-wire.md.
 */
import { SparrowError } from '../../base/errors.ts';
import { ByteReader, type ByteWriter, peerFormat } from './wire-bytes.ts';
import type { Hash64 } from './transport.ts';

export const SEAL_BYTES = 8;
const PIECE_BYTES: number = 1024 * 1024;

/** The writer begins with room for the check: SEAL_BYTES that nothing was written to. */
export function seal(writer: ByteWriter, hash: Hash64): Buffer {
  const written = writer.written();
  written.writeBigUInt64LE(checkOf(written, hash), 0);
  return written;
}

/** A reader of what stands behind the check. Throws `invalid/PEER_FORMAT`, or `corrupt/PEER_CHECK` when the bytes are not those that were sealed. */
export function openSealed(sealed: Buffer, hash: Hash64): ByteReader {
  if (sealed.length < SEAL_BYTES) throw peerFormat('it is shorter than its check');
  if (sealed.readBigUInt64LE(0) !== checkOf(sealed, hash)) {
    throw new SparrowError('corrupt', 'PEER_CHECK', `message between nodes: ${sealed.length} bytes do not match their check`, {
      bytes: sealed.length,
    });
  }
  return new ByteReader(sealed, SEAL_BYTES);
}

function checkOf(sealed: Buffer, hash: Hash64): bigint {
  let check = 0n;
  let at = SEAL_BYTES;
  do {
    check = hash(sealed.subarray(at, at + PIECE_BYTES), check);
    at += PIECE_BYTES;
  } while (at < sealed.length);
  return check;
}
