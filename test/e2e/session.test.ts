/** Kv.Session over real gRPC, by hand: frames in, frames out. */
import assert from 'node:assert/strict';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  FRAME_ANSWER,
  FRAME_CANCEL,
  FRAME_DELETE_RANGE,
  FRAME_ERROR,
  FRAME_GET,
  FRAME_GREETING,
  FRAME_MULTI_GET,
  FRAME_PUT,
  FRAME_WRITE,
  DeleteRangeRequest,
  DeleteRangeResponse,
  encodeHot,
  getRequestCodec,
  getResponseCodec,
  MultiGetRequest,
  MultiGetResponse,
  putRequestCodec,
  putResponseCodec,
  readFrames,
  SessionError,
  type SessionFrame,
  SessionGreeting,
  SessionWriter,
  wrapMessage,
  WriteRequest,
  WriteResponse,
} from '../../proto/index.ts';
import { ServerHarness, sparrowError } from './server-harness.ts';

let harness: ServerHarness;
beforeAll(async () => {
  harness = await ServerHarness.start();
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
});

/** A session whose answers are waited for one by one. */
class TestSession {
  readonly stream: ClientDuplexStream<Buffer, Buffer>;
  readonly messages: number[] = [];
  readonly #frames: Map<number, SessionFrame> = new Map();
  readonly #waiting: Map<number, (frame: SessionFrame) => void> = new Map();
  readonly ended: Promise<unknown>;

  constructor(stream: ClientDuplexStream<Buffer, Buffer>) {
    this.stream = stream;
    stream.on('data', (message: Buffer) => {
      const frames = [...readFrames(message)];
      this.messages.push(frames.length);
      for (const frame of frames) {
        assert(!this.#frames.has(frame.call), `call ${frame.call} is answered once`);
        this.#frames.set(frame.call, frame);
        this.#waiting.get(frame.call)?.(frame);
      }
    });
    this.ended = new Promise((resolve) => {
      stream.on('error', (error) => resolve(sparrowError(error as never)));
      stream.on('end', () => resolve(undefined));
    });
  }

  send(fill: (writer: SessionWriter) => void): void {
    const writer = new SessionWriter();
    fill(writer);
    this.stream.write(writer.take());
  }

  answer(call: number): Promise<SessionFrame> {
    const frame = this.#frames.get(call);
    return frame === undefined ? new Promise((resolve) => this.#waiting.set(call, resolve)) : Promise.resolve(frame);
  }

  async error(call: number): Promise<SessionError> {
    const frame = await this.answer(call);
    assert.equal(frame.kind, FRAME_ERROR);
    return SessionError.decode(frame.payload);
  }
}

const key = (text: string): Buffer => Buffer.from(text);
const putFrame = (text: string, value: Buffer | string): Buffer =>
  encodeHot(putRequestCodec, { key: key(text), value: Buffer.from(value), requestId: undefined });
const getFrame = (text: string): Buffer => encodeHot(getRequestCodec, { key: key(text), versionOnly: false, anyNode: undefined });

describe('a session', () => {
  it('greets with its limits', async () => {
    const session = new TestSession(harness.kv.session());
    const frame = await session.answer(0);
    expect(frame.kind).toBe(FRAME_GREETING);
    const greeting = SessionGreeting.decode(frame.payload);
    expect(greeting).toMatchObject({
      revision: 1,
      serverVersion: '0.1.0',
      keyBytesMax: 4000,
      valueBytesMax: 16 << 20,
      writeBytesMax: 20 << 20,
    });
    expect(greeting.seen).toBeGreaterThan(0);
    session.stream.end();
    expect(await session.ended).toBeUndefined();
  });

  it('answers every method, many calls in one message, in few messages', async () => {
    const session = new TestSession(harness.kv.session());
    await session.answer(0);
    session.send((writer) => {
      for (let i = 1; i <= 200; i++) writer.append(FRAME_PUT, i, 0, putFrame(`k${i}`, `v${i}`));
    });
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => session.answer(i + 1)));
    const versions = answers.map(({ payload }) => putResponseCodec.read(payload).version);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
    expect(session.messages.length).toBeLessThan(20);
    session.send((writer) => {
      writer.append(FRAME_GET, 301, 0, getFrame('k7'));
      writer.append(FRAME_MULTI_GET, 302, 0, MultiGetRequest.encode({ keys: [key('k8'), key('none')], anyNode: undefined }).finish());
      const operations = [{ operation: { $case: 'delete' as const, value: { key: key('k9') } } }];
      const conditions = [{ key: key('k9'), expected: { $case: 'value' as const, value: key('v9') } }];
      writer.append(FRAME_WRITE, 303, 0, WriteRequest.encode({ conditions, operations, requestId: undefined }).finish());
      const range = { gt: undefined, gte: key('k10'), lt: key('k20'), lte: undefined, prefix: undefined };
      writer.append(
        FRAME_DELETE_RANGE,
        304,
        0,
        DeleteRangeRequest.encode({ range, limit: 0, cursor: Buffer.alloc(0), requestId: undefined }).finish(),
      );
    });
    expect(getResponseCodec.read((await session.answer(301)).payload)).toMatchObject({ found: true, value: key('v7') });
    expect(MultiGetResponse.decode((await session.answer(302)).payload).entries.map(({ found }) => found)).toEqual([true, false]);
    expect(WriteResponse.decode((await session.answer(303)).payload)).toMatchObject({ applied: true });
    expect(DeleteRangeResponse.decode((await session.answer(304)).payload).deleted).toBeGreaterThan(90);
    session.stream.end();
    expect(await session.ended).toBeUndefined();
  });

  it('tells errors of single calls, and goes on', async () => {
    const session = new TestSession(harness.kv.session());
    await session.answer(0);
    session.send((writer) => {
      writer.append(FRAME_PUT, 1, 0, putFrame('', 'v'));
      writer.append(FRAME_PUT, 2, 0, putFrame('k', Buffer.alloc((16 << 20) + 1)));
      writer.append(99, 3, 0, Buffer.alloc(0));
      writer.append(FRAME_GET, 4, 0, Buffer.of(0x0a, 200));
      writer.append(FRAME_GET, 5, 0, getFrame('k1'));
    });
    expect(await session.error(1)).toMatchObject({ status: 3, kind: 'invalid', code: 'KEY_EMPTY' });
    expect(await session.error(2)).toMatchObject({
      code: 'VALUE_TOO_LARGE',
      details: expect.stringContaining('"limit":16777216') as string,
    });
    expect(await session.error(3)).toMatchObject({ code: 'RPC_UNIMPLEMENTED' });
    expect(await session.error(4)).toMatchObject({ kind: 'invalid', code: 'WIRE_FORMAT' });
    expect((await session.answer(5)).kind).toBe(FRAME_ANSWER);
    session.stream.end();
    await session.ended;
  });

  it('ends when its format is broken', async () => {
    const broken = [
      wrapMessage(Buffer.alloc(10)),
      Buffer.of(0x0a, 255),
      wrapMessage(Buffer.from('ffffff7f010000000100000000000000', 'hex')),
      wrapMessage(Buffer.from('00000000000000000100000000000000', 'hex')),
    ];
    for (const message of broken) {
      const session = new TestSession(harness.kv.session());
      await session.answer(0);
      session.stream.write(message);
      expect(await session.ended).toMatchObject({ code: expect.stringMatching(/SESSION_FORMAT|RPC_INTERNAL/) as string });
    }
  });

  it('ends when a call begins again that still waits, and the server goes on', async () => {
    const session = new TestSession(harness.kv.session());
    const greeting = SessionGreeting.decode((await session.answer(0)).payload);
    session.send((writer) => {
      // The last two find the session full: they wait until a call before them is answered.
      for (let i = 1; i <= greeting.callsInFlightMax; i++) writer.append(FRAME_PUT, i, 0, putFrame('often', 'v'));
      for (let i = 0; i < 2; i++) writer.append(FRAME_PUT, greeting.callsInFlightMax + 1, 0, putFrame('often', 'v'));
    });
    expect(await session.ended).toMatchObject({ kind: 'invalid', code: 'SESSION_FORMAT' });
    await harness.put('after it', 'v');
  });

  it('starts calls that wait in the order in which they came, without those that are cancelled', async () => {
    const session = new TestSession(harness.kv.session());
    const { callsInFlightMax } = SessionGreeting.decode((await session.answer(0)).payload);
    const last = 2 * callsInFlightMax + 2;
    session.send((writer) => {
      for (let i = 1; i <= last; i++) writer.append(FRAME_PUT, i, 0, putFrame('ordered', String(i)));
      for (let i = callsInFlightMax + 1; i <= last; i += 2) writer.append(FRAME_CANCEL, i, 0, Buffer.alloc(0));
    });
    let version = 0;
    for (let i = 1; i <= last; i++) {
      const cancelled = i > callsInFlightMax && (i - callsInFlightMax) % 2 === 1;
      if (cancelled) {
        expect(await session.error(i)).toMatchObject({ code: 'ABORTED' });
        continue;
      }
      const frame = await session.answer(i);
      expect(frame.kind).toBe(FRAME_ANSWER);
      const answered = putResponseCodec.read(frame.payload).version;
      expect(answered).toBeGreaterThan(version);
      version = answered;
    }
    expect((await harness.get('ordered')).value.toString()).toBe(String(last));
    session.stream.end();
    await session.ended;
  });

  it('tells a request that is not protobuf, and goes on', async () => {
    const session = new TestSession(harness.kv.session());
    await session.answer(0);
    const kinds = [FRAME_GET, FRAME_PUT, FRAME_MULTI_GET, FRAME_WRITE, FRAME_DELETE_RANGE];
    session.send((writer) => {
      for (const [i, kind] of kinds.entries()) writer.append(kind, i + 1, 0, Buffer.of(0x0a, 0xff));
    });
    for (const i of kinds.keys()) expect(await session.error(i + 1)).toMatchObject({ kind: 'invalid', code: 'WIRE_FORMAT' });
    session.stream.end();
    await session.ended;
  });

  it('carries large values both ways, and holds back when answers are not read', async () => {
    const session = new TestSession(harness.kv.session());
    await session.answer(0);
    const value = Buffer.alloc(2 << 20, 'large ');
    session.send((writer) => writer.append(FRAME_PUT, 1, 0, putFrame('large', value)));
    await session.answer(1);
    session.stream.pause();
    const before = process.memoryUsage().rss;
    for (let i = 2; i < 150; i++) session.send((writer) => writer.append(FRAME_GET, i, 0, getFrame('large')));
    // 148 answers of 2 MiB are asked for and not taken; other calls go on meanwhile.
    for (let i = 0; i < 50; i++) await harness.put(`meanwhile ${i}`, 'v');
    expect(process.memoryUsage().rss - before).toBeLessThan(150 << 20);
    session.stream.resume();
    for (let i = 2; i < 150; i++) {
      const frame = await session.answer(i);
      expect(getResponseCodec.read(frame.payload).value.length).toBe(value.length);
    }
    session.stream.end();
    await session.ended;
  });

  it('answers a cancelled call once, and forgets the calls of a client that goes', async () => {
    const session = new TestSession(harness.kv.session());
    await session.answer(0);
    session.send((writer) => {
      writer.append(FRAME_PUT, 1, 0, putFrame('cancelled', 'v'));
      writer.append(FRAME_CANCEL, 1, 0, Buffer.alloc(0));
      writer.append(FRAME_CANCEL, 77, 0, Buffer.alloc(0));
    });
    expect(await session.error(1)).toMatchObject({ kind: 'cancelled', code: 'ABORTED' });
    expect((await harness.get('cancelled')).found).toBe(false);
    session.send((writer) => {
      for (let i = 2; i < 500; i++) writer.append(FRAME_PUT, i, 0, putFrame(`gone ${i}`, 'v'));
    });
    session.stream.cancel();
    await session.ended;
    await expect
      .poll(async () => await new Promise<number>((resolve) => harness.admin.status({}, (_, answer) => resolve(answer.callsInFlight))))
      .toBe(0);
  });

  it('does not propose a call whose time is over', async () => {
    const session = new TestSession(harness.kv.session());
    await session.answer(0);
    session.send((writer) => {
      // The event loop is held up longer than the call may take.
      writer.append(FRAME_PUT, 1, 1, putFrame('late', 'v'));
      writer.append(FRAME_PUT, 2, 0, putFrame('large', Buffer.alloc(12 << 20)));
    });
    await session.answer(2);
    const first = await session.answer(1);
    if (first.kind === FRAME_ERROR) {
      expect(SessionError.decode(first.payload)).toMatchObject({ status: 4, code: 'TIMEOUT' });
      expect((await harness.get('late')).found).toBe(false);
    } else {
      expect((await harness.get('late')).found).toBe(true);
    }
    session.stream.end();
    await session.ended;
  });
});
