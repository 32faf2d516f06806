import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SessionRequest } from '../../proto/gen/sparrowkv/v1/kv.ts';
import { FRAME_GREETING, readFrames, SessionWriter, unwrapMessage, wrapMessage } from '../../proto/index.ts';

const frame = fc.record({
  kind: fc.integer({ min: 1, max: 255 }).filter((kind) => kind !== FRAME_GREETING),
  call: fc.integer({ min: 1, max: 0xffffffff }),
  argument: fc.integer({ min: 0, max: 0xffffffff }),
  payload: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
});

describe('session messages', () => {
  it('are read as they were written, one after another by the same writer', () => {
    const writer = new SessionWriter();
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 60 }), (frames) => {
        for (const { kind, call, argument, payload } of frames) writer.append(kind, call, argument, payload);
        expect(writer.frames).toBe(frames.length);
        expect(writer.bytes).toBe(frames.reduce((sum, { payload }) => sum + 16 + payload.length, 0));
        const message = writer.take();
        expect(writer.bytes).toBe(0);
        expect([...readFrames(unwrapMessage(message))]).toEqual(frames);
        // It is the protobuf message that the .proto file declares.
        const decoded = SessionRequest.decode(message).frames;
        expect(decoded.equals(unwrapMessage(message))).toBe(true);
        if (frames.length > 0) expect(Buffer.from(SessionRequest.encode({ frames: decoded }).finish()).equals(message)).toBe(true);
        expect(wrapMessage(decoded).equals(message)).toBe(true);
      }),
    );
  });

  it.each([127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 20_000_000])('of %i bytes have the right length in front', (bytes) => {
    const writer = new SessionWriter();
    writer.append(1, 1, 0, new Uint8Array(bytes - 16));
    const message = writer.take();
    expect(unwrapMessage(message).length).toBe(bytes);
    expect(SessionRequest.decode(message).frames.length).toBe(bytes);
  });

  it('that are damaged end in an error of their own, and hold no more than they came with', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 1, maxLength: 5 }),
        fc.nat(),
        fc.nat(255),
        fc.uint8Array({ maxLength: 100 }),
        (frames, at, byte, noise) => {
          const writer = new SessionWriter();
          for (const { kind, call, argument, payload } of frames) writer.append(kind, call, argument, payload);
          const message = writer.take();
          const changed = Buffer.from(message);
          changed[at % changed.length] = byte;
          for (const source of [changed, message.subarray(0, at % message.length), Buffer.from(noise), wrapMessage(noise)]) {
            try {
              let total = 0;
              for (const { payload } of readFrames(unwrapMessage(source))) total += payload.length;
              expect(total).toBeLessThanOrEqual(source.length);
            } catch (error) {
              expect(error).toMatchObject({ kind: 'invalid', code: 'SESSION_FORMAT' });
            }
          }
        },
      ),
    );
  });
});
