import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { PutRequest } from '../../../proto/index.ts';
import { forgetPieces, keepInCommand } from '../../../server/gateway/received-message.ts';
import { encodeWrite } from '../../../server/node/index.ts';

const same = (bytes: Buffer): Buffer => bytes;
const METHOD = {
  path: '/test/Put',
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const;

test('what grpc-js keeps of a message that has come is let go, and the call goes on', async () => {
  const held: number[] = [];
  const heldBy = (call: ServerInterceptingCallInterface): number => {
    const { decoder } = call as unknown as { decoder: { readPartialMessage: Buffer[]; readCompressFlag: Buffer } };
    return decoder.readPartialMessage.reduce((sum, { length }) => sum + length, decoder.readCompressFlag.buffer.byteLength);
  };
  const server = new Server({
    interceptors: [
      (_, call) =>
        new ServerInterceptingCall(call, {
          start: (next) =>
            next({
              onReceiveHalfClose: (goOn) => {
                held.push(heldBy(call));
                forgetPieces(call);
                held.push(heldBy(call));
                goOn();
              },
            }),
        }),
    ],
  });
  server.addService(
    { put: METHOD },
    { put: ({ request }: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, request) },
  );
  const port = await new Promise<number>((bound, failed) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, at) => (error ? failed(error) : bound(at))),
  );
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const message = Buffer.alloc(300_000, 'x');
  const answer = await new Promise<Buffer | undefined>((answered, failed) =>
    client.makeUnaryRequest(METHOD.path, same, same, message, (error, bytes) => (error ? failed(error) : answered(bytes))),
  );
  client.close();
  server.forceShutdown();
  expect(answer?.equals(message)).toBe(true);
  // Without the first: grpc-js does not keep them any more, and forgetPieces may go.
  expect(held[0]).toBeGreaterThan(message.length);
  expect(held[1]).toBeLessThan(100);
});

test.each([undefined, 77])(
  'a large put has its bytes where its command has them, and they are the same (it expires at %s)',
  (expiresAtMs) => {
    const sent = {
      key: Buffer.from('wren'),
      value: Buffer.alloc(100_000, 'v'),
      requestId: { client: Buffer.from('me'), sequence: 3, seen: 2 },
    };
    const message = Buffer.from(PutRequest.encode(PutRequest.fromPartial(sent)).finish());
    const request = PutRequest.decode(message);
    const expiry = expiresAtMs === undefined ? {} : { expiresAtMs };
    const command = encodeWrite(request.requestId, [], [{ type: 'put', key: request.key, value: request.value, ...expiry }], 5, 6);
    keepInCommand(request, command);
    message.fill(0);
    expect(request).toMatchObject(sent);
    expect(request.value.buffer).toBe(command.buffer);
    command.fill('w');
    expect(request.value.equals(Buffer.alloc(100_000, 'w'))).toBe(true);
  },
);
