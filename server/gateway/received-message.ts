/**
 * Lets go of the message that a write came in as soon as its command is made. What is on its way through the log is bounded by commands (server/node/write-budget.ts), and
 * a large put would be in memory three times until it is answered: in the pieces that came from the network, as the message that they make, and as the command.
 *
 * Called by intake.ts and kv-calls.ts.
 */
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { PutRequest } from '../../proto/index.ts';

/** Values from so many bytes on. */
const LARGE_BYTES = 16 * 1024;

/** What grpc-js has of a call's messages, and keeps until its next one begins. */
interface Received {
  readonly decoder: { readCompressFlag: Buffer; readPartialMessage: Buffer[] };
}

/** Of a call whose only message has come whole. `call`: as grpc-js gives it to the first interceptor. */
export function forgetPieces(call: ServerInterceptingCallInterface): void {
  const { decoder } = call as unknown as Received;
  decoder.readPartialMessage = [];
  // It lies in the first piece.
  decoder.readCompressFlag = Buffer.alloc(1);
}

/** From now on the request has its bytes where its command has them: a put's command ends with its value. */
export function keepInCommand(request: PutRequest, command: Buffer): void {
  if (request.value.length < LARGE_BYTES) return;
  request.value = command.subarray(command.length - request.value.length);
  request.key = Buffer.from(request.key);
  if (request.requestId !== undefined) request.requestId.client = Buffer.from(request.requestId.client);
}
