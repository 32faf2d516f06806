/** The service Kv: each method bound to its verb. */
import type { handleUnaryCall } from '@grpc/grpc-js';
import { Kv, type KvHandlers, SESSION_REVISION, type SessionGreeting } from '../../proto/index.ts';
import type { SparrowError } from '../../base/errors.ts';
import type { Caller, KvVerbs } from './kv-verbs.ts';
import { scanMethod, type Scans } from './scan-stream.ts';
import { ServerSession } from './session.ts';
import type { CallCounter } from './call-counter.ts';
import { plainMethod } from './unary-call.ts';

/** For intake.ts. */
export const WRITE_PATHS: ReadonlySet<string> = new Set([Kv.put.path, Kv.write.path]);
export const READ_PATHS: ReadonlySet<string> = new Set([Kv.get.path, Kv.multiGet.path]);
export const STREAM_PATHS: ReadonlySet<string> = new Set([Kv.session.path]);

export interface KvService {
  handlers: KvHandlers;
  sessions: ReadonlySet<ServerSession>;
  /** Ends all sessions when their calls are answered; new ones end at once. */
  drain(reason: SparrowError): void;
}

/** `scans`: how a scan is served. */
export function kvService(calls: KvVerbs, scans: Scans, counter: CallCounter, serverVersion: string, messageBytesMax: number): KvService {
  const sessions = new Set<ServerSession>();
  let draining: SparrowError | undefined;
  const greeting = (): SessionGreeting => ({
    revision: SESSION_REVISION,
    serverVersion,
    callsInFlightMax: calls.settings.sessionCallsMax,
    keyBytesMax: calls.settings.maxKeyBytes,
    valueBytesMax: calls.settings.maxValueBytes,
    writeBytesMax: calls.settings.maxWriteBytes,
    messageBytesMax,
    seen: calls.seen,
    nodeId: calls.cluster.nodeId,
    clusterId: calls.cluster.clusterId,
    leadership: calls.cluster.leadership(),
    members: [...calls.cluster.members],
  });
  const plain = <Q, A>(name: string, verb: (request: Q, call: Caller) => A | Promise<A>): handleUnaryCall<Q, A> =>
    plainMethod(counter, name, verb, (error) => calls.cluster.routed(error));
  const handlers: KvHandlers = {
    get: plain('get', (request, call) => calls.get(request, call)),
    put: plain('put', (request, call) => calls.put(request, call)),
    delete: plain('delete', (request, call) => calls.delete(request, call)),
    multiGet: plain('multi_get', (request, call) => calls.multiGet(request, call)),
    write: plain('write', (request, call) => calls.write(request, call)),
    deleteRange: plain('delete_range', (request, call) => calls.deleteRange(request, call)),
    scan: scanMethod(counter, scans, (error) => calls.cluster.routed(error)),
    session(stream) {
      const session: ServerSession = new ServerSession(stream, calls, counter, greeting(), () => sessions.delete(session));
      sessions.add(session);
      if (draining !== undefined) session.drain(draining);
    },
  };
  const drain = (reason: SparrowError): void => {
    draining = reason;
    for (const session of sessions) session.drain(reason);
  };
  return { handlers, sessions, drain };
}
