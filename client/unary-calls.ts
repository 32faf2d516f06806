/** Calls as gRPC calls of their own: those that no session carries, and all of them where sessions are not wanted or not spoken. */
import type { ClientUnaryCall } from '@grpc/grpc-js';

import type { SparrowError } from '../base/errors.ts';
import { callerMetadata } from '../proto/index.ts';
import type { AnyCall, CallHolder, CallOutcomes } from './call.ts';
import type { Stubs } from './methods.ts';
import { errorOfEndedStream, errorOfStatus, isBrokenConnection } from './status-errors.ts';

export class UnaryCalls implements CallHolder {
  readonly #stubs: Stubs;
  readonly #outcomes: CallOutcomes;
  readonly #broken: (error: SparrowError) => void;
  readonly #calls: Map<AnyCall, ClientUnaryCall> = new Map();
  #heard = 0;

  /** `broken` is told when a call failed for the connection's sake. */
  constructor(stubs: Stubs, outcomes: CallOutcomes, broken: (error: SparrowError) => void) {
    this.#stubs = stubs;
    this.#outcomes = outcomes;
    this.#broken = broken;
  }

  get calls(): number {
    return this.#calls.size;
  }

  /** Answers so far. */
  get heard(): number {
    return this.#heard;
  }

  send(call: AnyCall): void {
    call.state = 'sent';
    call.wasSent = true;
    call.holder = this;
    const deadline = Date.now() + Math.max(1, Math.ceil(call.deadlineMs - performance.now()));
    const started = call.method.unary(this.#stubs, call.request, callerMetadata(), { deadline }, (failure, answer) => {
      this.#heard++;
      if (!this.#calls.delete(call)) return;
      call.holder = undefined;
      if (failure === null) return this.#outcomes.answered(call, answer);
      if (!isBrokenConnection(failure)) return this.#outcomes.refused(call, errorOfStatus(failure));
      const error = errorOfEndedStream(failure);
      this.#outcomes.lost(call, error);
      this.#broken(error);
    });
    this.#calls.set(call, started);
  }

  drop(call: AnyCall): void {
    const started = this.#calls.get(call);
    this.#calls.delete(call);
    call.holder = undefined;
    started?.cancel();
  }

  close(error: SparrowError): void {
    this.release(() => true, error);
  }

  /** Calls that are meant are lost. */
  release(meant: (call: AnyCall) => boolean, error: SparrowError): void {
    for (const [call, started] of this.#calls) {
      if (!meant(call)) continue;
      this.#calls.delete(call);
      call.holder = undefined;
      started.cancel();
      this.#outcomes.lost(call, error);
    }
  }
}
