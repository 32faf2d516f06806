/** A plain call as the lower layers see it, and the frame around every plain method: errors become statuses. */
import { performance } from 'node:perf_hooks';
import type { handleUnaryCall, Metadata, sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { followsShards, isForwarded } from '../../proto/index.ts';
import type { CallCounter } from './call-counter.ts';
import type { Caller } from './kv-verbs.ts';
import { statusOf } from './rpc-errors.ts';

/** What a call may be asked; grpc-js sets `cancelled` when the client goes or the deadline passes. */
interface GrpcCall {
  readonly cancelled: boolean;
  readonly metadata: Metadata;
  getDeadline(): Date | number;
}

export class PlainCall implements Caller {
  readonly #call: GrpcCall;
  readonly deadlineMs: number;

  constructor(call: GrpcCall) {
    this.#call = call;
    const deadline = Number(call.getDeadline());
    // gRPC counts on the wall clock; from here on it is the monotonic one.
    this.deadlineMs = deadline === Infinity ? Infinity : performance.now() + (deadline - Date.now());
  }

  get cancelled(): boolean {
    return this.#call.cancelled;
  }

  /** A proxy passes it on. */
  get forwarded(): boolean {
    return isForwarded(this.#call.metadata);
  }

  get followsShards(): boolean {
    return followsShards(this.#call.metadata);
  }
}

/** A plain method out of a verb. `name`: for the counter. `routed`: what the client is told of an error (ClusterView.routed). */
export function plainMethod<Q, A>(
  counter: CallCounter,
  name: string,
  verb: (request: Q, call: PlainCall) => A | Promise<A>,
  routed: (error: unknown) => unknown = (error) => error,
): handleUnaryCall<Q, A> {
  const calls = counter.of(name);
  return (call: ServerUnaryCall<Q, A>, callback: sendUnaryData<A>) => {
    counter.callsInFlight++;
    const answer = (response: A): void => {
      counter.callsInFlight--;
      calls.answered++;
      callback(null, response);
    };
    const refuse = (error: unknown): void => {
      counter.callsInFlight--;
      calls.refuse(error);
      callback(statusOf(routed(error)));
    };
    let result: A | Promise<A>;
    try {
      result = verb(call.request, new PlainCall(call));
    } catch (error) {
      refuse(error);
      return;
    }
    if (result instanceof Promise) result.then(answer, refuse);
    else answer(result);
  };
}
