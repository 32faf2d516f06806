/**
 * The framing inside Kv.Session: many calls, or many answers, in one message.
 *
 * A message is a run of frames without gaps. One frame, little-endian, 16 bytes of header:
 *
 *   0        4        8      9       10         12           16
 *   | payload bytes u32 | call u32 | kind u8 | zero u8 | zero u16 | argument u32 | payload ... |
 *
 *   call      chosen by the client, not 0, unique among its calls that are not answered yet; 0 in the greeting
 *   kind      from the client: a method, PING or CANCEL. From the server: GREETING, ANSWER, ERROR
 *   argument  of a method: milliseconds that the call may take, 0 for no limit. Of a PING: the shard whose leader is asked for, 0 for the one that the
 *             greeting tells of. Otherwise 0
 *   payload   of a method and of ANSWER: the protobuf message that the plain method takes and returns;
 *             of GREETING and ERROR: SessionGreeting, SessionError; of the ANSWER to a PING: Leadership; of PING and CANCEL: nothing
 *
 * Rules: the greeting is the server's first frame. Each call gets exactly one ANSWER or ERROR, in any order; a cancelled one too.
 * CANCEL of a call that is answered already is ignored. A frame that breaks the format ends the stream.
 *
 * On the wire a message is field 1 of SessionRequest / SessionResponse. The writer leaves room for that field's tag and length in
 * front of its frames, so that a message is put together once and not copied.
 * Format: docs/formats/session.md. Used by client and server/gateway.
 */
import { SparrowError } from '../base/errors.ts';
import { MessageMemory } from '../base/message-memory.ts';
import { varintBytes, writeVarint } from '../base/varint.ts';

/** The revision that the greeting announces. */
export const SESSION_REVISION = 1;
export const FRAME_HEADER_BYTES = 16;

export const FRAME_GET = 1;
export const FRAME_PUT = 2;
export const FRAME_DELETE = 3;
export const FRAME_MULTI_GET = 4;
export const FRAME_WRITE = 5;
export const FRAME_DELETE_RANGE = 6;
export const FRAME_CANCEL = 64;
export const FRAME_PING = 65;
export const FRAME_GREETING = 128;
export const FRAME_ANSWER = 129;
export const FRAME_ERROR = 130;

/** No payload is longer, whatever a server's settings: what a reader may be made to hold. */
export const PAYLOAD_BYTES_MAX: number = 256 * 1024 * 1024;
/** `timeoutMs` of a call goes up to here; a longer one is as good as none. */
export const TIMEOUT_MS_MAX = 0xffffffff;

/** Tag of field 1, then its length as a varint of at most 5 bytes. */
const HEADROOM = 6;
const TAG = 0x0a;
const FIRST_BYTES = 4096;
const HINT_BYTES_MAX: number = 256 * 1024;

/** Puts frames together. `take` hands over what stands there as one encoded SessionRequest or SessionResponse. */
export class SessionWriter {
  readonly #memory: MessageMemory;
  #buffer: Buffer | undefined;
  #end = HEADROOM;
  #frames = 0;
  /** What messages came to lately: how much to allocate for the next. */
  #hint: number = FIRST_BYTES;

  /** `memory`: messages lie in it; whoever gives them back to it makes room for later ones. */
  constructor(memory: MessageMemory = new MessageMemory(0)) {
    this.#memory = memory;
  }

  /** Bytes of frames that wait to be taken. */
  get bytes(): number {
    return this.#end - HEADROOM;
  }

  get frames(): number {
    return this.#frames;
  }

  /**
   * Starts a frame and returns where in `target` its payload goes; the caller fills all `payloadBytes` at once, before anything else
   * is done with the writer.
   */
  begin(kind: number, call: number, argument: number, payloadBytes: number): { target: Buffer; offset: number } {
    const at = this.#end;
    const end = at + FRAME_HEADER_BYTES + payloadBytes;
    const target = this.#reserve(end);
    target.writeUInt32LE(payloadBytes, at);
    target.writeUInt32LE(call, at + 4);
    target.writeUInt32LE(kind, at + 8);
    target.writeUInt32LE(argument, at + 12);
    this.#end = end;
    this.#frames++;
    return { target, offset: at + FRAME_HEADER_BYTES };
  }

  /** A whole frame; the payload is copied. */
  append(kind: number, call: number, argument: number, payload: Uint8Array): void {
    const { target, offset } = this.begin(kind, call, argument, payload.length);
    target.set(payload, offset);
  }

  /** The encoded message; the writer is empty again and does not touch the bytes any more. */
  take(): Buffer {
    const bytes = this.bytes;
    const buffer = this.#reserve(this.#end);
    const end = this.#end;
    const start = HEADROOM - 1 - varintBytes(bytes);
    buffer[start] = TAG;
    writeVarint(buffer, start + 1, bytes);
    this.#buffer = undefined;
    this.#end = HEADROOM;
    this.#frames = 0;
    this.#hint = Math.min(Math.max(FIRST_BYTES, end + (end >>> 1)), HINT_BYTES_MAX);
    return buffer.subarray(start, end);
  }

  #reserve(bytes: number): Buffer {
    const buffer = this.#buffer;
    if (buffer !== undefined && bytes <= buffer.length) return buffer;
    const grown = this.#memory.take(Math.max(this.#hint, buffer === undefined ? bytes : Math.max(bytes, buffer.length * 2)));
    buffer?.copy(grown, HEADROOM, HEADROOM, this.#end);
    this.#buffer = grown;
    return grown;
  }
}

/** One frame. `payload` aliases the message: whoever keeps it copies it. */
export interface SessionFrame {
  kind: number;
  call: number;
  argument: number;
  payload: Buffer;
}

/** The frames of a message, from its field 1 (what `unwrapMessage` returns). Throws `invalid/SESSION_FORMAT`. */
export function* readFrames(frames: Buffer): Generator<SessionFrame, void, undefined> {
  let at = 0;
  while (at < frames.length) {
    if (frames.length - at < FRAME_HEADER_BYTES) throw formatError('a frame header is cut short', at);
    const payloadBytes = frames.readUInt32LE(at);
    const call = frames.readUInt32LE(at + 4);
    const kind = frames.readUInt32LE(at + 8);
    const argument = frames.readUInt32LE(at + 12);
    if (payloadBytes > PAYLOAD_BYTES_MAX || payloadBytes > frames.length - at - FRAME_HEADER_BYTES) {
      throw formatError(`a payload of ${payloadBytes} bytes is longer than the message`, at);
    }
    if (kind === 0 || kind > 0xff) throw formatError('a frame has no kind, or reserved bytes that are not zero', at);
    if ((call === 0) !== (kind === FRAME_GREETING)) throw formatError('only a greeting has call 0', at);
    const start = at + FRAME_HEADER_BYTES;
    at = start + payloadBytes;
    yield { kind, call, argument, payload: frames.subarray(start, at) };
  }
}

/** Field 1 of an encoded SessionRequest or SessionResponse, without copying it. Other fields are skipped. */
export function unwrapMessage(message: Buffer): Buffer {
  let frames: Buffer | undefined;
  let at = 0;
  while (at < message.length) {
    const tag = readVarint(message, at);
    at = tag.next;
    const wire = tag.value & 7;
    if (wire === 0) {
      at = readVarint(message, at).next;
    } else if (wire === 1 || wire === 5) {
      at += wire === 1 ? 8 : 4;
    } else if (wire === 2) {
      const length = readVarint(message, at);
      if (length.value > message.length - length.next) throw formatError('a field is longer than the message', at);
      at = length.next + length.value;
      if (tag.value === TAG) frames = message.subarray(length.next, at);
    } else {
      throw formatError('an unknown wire type', at);
    }
  }
  if (at !== message.length) throw formatError('a field is longer than the message', at);
  return frames ?? EMPTY;
}

/** Encodes frames that some other writer put together. The usual way is SessionWriter.take, which copies nothing. */
export function wrapMessage(frames: Uint8Array): Buffer {
  const header = 1 + varintBytes(frames.length);
  const message = Buffer.allocUnsafe(header + frames.length);
  message[0] = TAG;
  writeVarint(message, 1, frames.length);
  message.set(frames, header);
  return message;
}

const EMPTY: Buffer = Buffer.alloc(0);

/** A varint of at most 32 bits: lengths and tags. */
function readVarint(source: Buffer, offset: number): { value: number; next: number } {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = source[offset + i];
    if (byte === undefined) throw formatError('a number is cut short', offset);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, next: offset + i + 1 };
  }
  throw formatError('a number is too long', offset);
}

function formatError(what: string, offset: number): SparrowError {
  return new SparrowError('invalid', 'SESSION_FORMAT', `session message: ${what} (at byte ${offset})`, { offset });
}
