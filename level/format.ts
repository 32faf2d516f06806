/**
 * The formats that Level's encodings come down to. All three are native: what the engine returned is given out as bytes without a copy, or
 * decoded to text once, and Level's own transcoding has nothing left to do.
 */
import type { Encoded } from './stored-key.ts';

export type Format = 'utf8' | 'buffer' | 'view';

/** A byte order mark at the beginning is content. */
const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });

const DECODERS: Readonly<Record<Format, (bytes: Uint8Array) => Encoded>> = {
  utf8: (bytes) => UTF8.decode(bytes),
  buffer: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
  view: (bytes) => bytes,
};

/** What turns stored bytes into `format`. */
export function decoderOf(format: Format): (bytes: Uint8Array) => Encoded {
  return DECODERS[format];
}
