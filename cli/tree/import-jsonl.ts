/** Stores the entries of a file of JSON lines (terminal/json-entry.ts), in the order of the file, in batches. */
import { open, type FileHandle } from 'node:fs/promises';

import { SparrowError } from '../../base/errors.ts';
import type { CallOptions, KeyValues } from '../../client/index.ts';
import { entryFromJson } from '../terminal/json-entry.ts';
import { Lanes } from './lanes.ts';
import { unreadable } from './walk.ts';
import { type Unit, writeUnits } from './write-units.ts';

/** A line holds a value of the largest size in base64, with room to spare. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;
const BATCH_BYTES = 1024 * 1024;
const BATCH_ENTRIES = 256;
const NEWLINE = 0x0a;

export interface JsonlOptions {
  prefix: Uint8Array;
  call: CallOptions;
  onProgress(entries: number, bytes: number): void;
}

/** `file`: a path, or - for stdin. Throws `invalid/JSON_ENTRY` with the line's number; the lines before it may be stored already. */
export async function importJsonl(store: KeyValues, file: string, options: JsonlOptions): Promise<{ entries: number; bytes: number }> {
  const stream = file === '-' ? process.stdin : (await openFile(file)).createReadStream();
  // One batch at a time: the last of several entries of one key is the one that stays.
  const lane = new Lanes(1, BATCH_BYTES);
  let batch: Unit[] = [];
  let batchBytes = 0;
  let entries = 0;
  let bytes = 0;
  let line = 0;
  const send = async (): Promise<void> => {
    const full = batch;
    const sentBytes = batchBytes;
    batch = [];
    batchBytes = 0;
    if (full.length === 0) return;
    await lane.start(sentBytes, async () => {
      await writeUnits(store, full, options.call, true);
      options.onProgress(full.length, sentBytes);
    });
  };
  try {
    for await (const text of readLines(stream as AsyncIterable<Buffer>)) {
      options.call.signal?.throwIfAborted();
      line++;
      if (text.trim() === '') continue;
      try {
        const { key, value } = entryFromJson(text);
        const prefixed = Buffer.concat([options.prefix, key]);
        if (batchBytes + prefixed.length + value.length > BATCH_BYTES || batch.length === BATCH_ENTRIES) await send();
        batch.push([{ key: prefixed, value }]);
        batchBytes += prefixed.length + value.length;
        bytes += value.length;
        entries++;
      } catch (error) {
        if (!(error instanceof SparrowError) || error.kind !== 'invalid') throw error;
        throw new SparrowError('invalid', error.code, `line ${line}: ${error.message}`, { ...error.details, line }, error);
      }
    }
    await send();
  } finally {
    await lane.finish();
  }
  return { entries, bytes };
}

async function* readLines(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  for await (const piece of stream) {
    let from = 0;
    for (let at = piece.indexOf(NEWLINE); at >= 0; at = piece.indexOf(NEWLINE, from)) {
      pending.push(piece.subarray(from, at));
      yield Buffer.concat(pending).toString('utf8');
      pending = [];
      pendingBytes = 0;
      from = at + 1;
    }
    pending.push(piece.subarray(from));
    pendingBytes += piece.length - from;
    if (pendingBytes > LINE_BYTES_MAX) throw new SparrowError('invalid', 'LINE_TOO_LONG', `a line is longer than ${LINE_BYTES_MAX} bytes`);
  }
  if (pendingBytes > 0) yield Buffer.concat(pending).toString('utf8');
}

/** The stream that is made of it closes it. */
async function openFile(file: string): Promise<FileHandle> {
  try {
    const handle = await open(file, 'r');
    if (!(await handle.stat()).isDirectory()) return handle;
    await handle.close();
  } catch (error) {
    throw unreadable('file', file, error);
  }
  throw unreadable('file', file, { code: 'EISDIR' });
}
