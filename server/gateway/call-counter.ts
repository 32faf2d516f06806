/** Counts calls: those that are being worked on, and those that have ended, by method and outcome. What metrics and status tell of calls. */
import { type ErrorKind, SparrowError } from '../../base/errors.ts';

/** `refused`: with the kind of error that the client got. */
export class MethodCalls {
  answered = 0;
  readonly refused: Map<ErrorKind, number> = new Map();

  refuse(error: unknown): void {
    const kind = error instanceof SparrowError ? error.kind : 'internal';
    this.refused.set(kind, (this.refused.get(kind) ?? 0) + 1);
  }
}

export class CallCounter {
  /** Scans count until their last entry is taken. A session is no call; those inside are. */
  callsInFlight = 0;
  readonly methods: Map<string, MethodCalls> = new Map();

  /** Of one method, by its name in snake case. */
  of(method: string): MethodCalls {
    let calls = this.methods.get(method);
    if (calls === undefined) this.methods.set(method, (calls = new MethodCalls()));
    return calls;
  }
}
