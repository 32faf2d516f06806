/** The methods that calls of a session may name: how each reads its request, runs, and writes its answer. */
import { SparrowError } from '../../base/errors.ts';
import {
  DeleteRangeRequest,
  DeleteRangeResponse,
  deleteRequestCodec,
  deleteResponseCodec,
  type Encodable,
  FRAME_DELETE,
  FRAME_DELETE_RANGE,
  FRAME_GET,
  FRAME_MULTI_GET,
  FRAME_PUT,
  FRAME_WRITE,
  getRequestCodec,
  getResponseCodec,
  type HotCodec,
  MultiGetRequest,
  MultiGetResponse,
  putRequestCodec,
  putResponseCodec,
  WriteRequest,
  WriteResponse,
} from '../../proto/index.ts';
import type { Caller, KvVerbs } from './kv-verbs.ts';

/** An encoded answer, or one that is about to be written in place. */
export interface AnswerBytes {
  length: number;
  write(target: Buffer, offset: number): void;
}

export interface SessionMethod {
  /** For the counter. */
  readonly name: string;
  /** The answer, or a promise of it. */
  run(calls: KvVerbs, payload: Buffer, call: Caller): unknown;
  answerBytes(answer: unknown): AnswerBytes;
}

type Verb<Q, A> = (calls: KvVerbs, request: Q, call: Caller) => A | Promise<A>;

/** Requests alias the message that they came in: the verbs copy what they keep before they return. */
function hot<Q, A>(name: string, request: HotCodec<Q>, response: HotCodec<A>, verb: Verb<Q, A>): SessionMethod {
  return {
    name,
    run: (calls, payload, call) => verb(calls, request.read(payload), call),
    answerBytes(answer) {
      const message = answer as Encodable<A>;
      return { length: response.bytes(message), write: (target, offset) => response.write(message, target, offset) };
    },
  };
}

interface Generated<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

function generated<Q, A>(name: string, request: Generated<Q>, response: Generated<A>, verb: Verb<Q, A>): SessionMethod {
  return {
    name,
    run: (calls, payload, call) => verb(calls, decode(request, payload), call),
    answerBytes(answer) {
      const bytes = response.encode(answer as A).finish();
      return { length: bytes.length, write: (target, offset) => target.set(bytes, offset) };
    },
  };
}

/** The generated code throws errors of its own for bytes that are not protobuf, and for numbers above 2^53 - 1: the caller's mistake, not ours. */
function decode<T>(message: Generated<T>, payload: Buffer): T {
  try {
    return message.decode(payload);
  } catch (error) {
    throw new SparrowError('invalid', 'WIRE_FORMAT', `message: ${(error as Error).message}`, {}, error);
  }
}

export const SESSION_METHODS: ReadonlyMap<number, SessionMethod> = new Map([
  [FRAME_GET, hot('get', getRequestCodec, getResponseCodec, (calls, request, call) => calls.get(request, call))],
  [FRAME_PUT, hot('put', putRequestCodec, putResponseCodec, (calls, request, call) => calls.put(request, call))],
  [FRAME_DELETE, hot('delete', deleteRequestCodec, deleteResponseCodec, (calls, request, call) => calls.delete(request, call))],
  [FRAME_MULTI_GET, generated('multi_get', MultiGetRequest, MultiGetResponse, (calls, request, call) => calls.multiGet(request, call))],
  [FRAME_WRITE, generated('write', WriteRequest, WriteResponse, (calls, request, call) => calls.write(request, call))],
  [
    FRAME_DELETE_RANGE,
    generated('delete_range', DeleteRangeRequest, DeleteRangeResponse, (calls, request, call) => calls.deleteRange(request, call)),
  ],
]);
