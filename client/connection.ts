/**
 * A connection to one node, as connector.ts and what belongs to it see it. grpc-connection.ts is the real one; tests have another, which
 * follows a script under a virtual clock.
 */
import type { SparrowError } from '../base/errors.ts';
import type { Leadership, SessionGreeting } from '../proto/index.ts';
import type { AnyCall, CallGroup, CallOutcomes } from './call.ts';
import type { Stubs } from './methods.ts';

/** What a node says of itself and of its cluster when it is first asked. */
export interface Standing extends Leadership {
  nodeId: number;
  /** Empty: not known. */
  clusterId: string;
  members: readonly { id: number; address: string }[];
}

export interface ConnectionEvents extends CallOutcomes {
  /** Of no more use; its calls were given to `lost`. Once. */
  ended(connection: Connection, error: SparrowError): void;
}

/** A stream of its own beside the calls: a scan. */
export interface SideStream {
  /** Whether it waits for the server, and not for its consumer. */
  readonly waits: boolean;
  /** Of which group; undefined: of the first one. */
  readonly group: CallGroup | undefined;
  /** The server is given up. */
  broken(error: SparrowError): void;
}

export interface Connection {
  readonly address: string;
  readonly stubs: Stubs;
  /** What the server said at the beginning of the session; `undefined` without one. */
  readonly greeting: SessionGreeting | undefined;
  /** Calls and streams that wait for the server. */
  readonly awaited: number;
  /** Grows with each sign of life. */
  readonly heard: number;
  /**
   * Settles when calls can be sent, with what the node says of itself; undefined when it says nothing of nodes and leaders. Throws what kept
   * it, after `timeoutMs` at the latest; the connection is then closed.
   */
  open(timeoutMs: number): Promise<Standing | undefined>;
  send(call: AnyCall): void;
  /**
   * Who leads a shard now, from a node that lives; 0: the shard that the greeting tells of. Undefined from a node that does not tell. A node without a replica
   * of the shard knows of no leader. Rejects when the connection ends before.
   */
  ping(shard: number): Promise<Leadership | undefined>;
  /** Returns how to take the stream away again. */
  addStream(stream: SideStream): () => void;
  /** Calls under way are lost; streams go on by themselves. */
  close(error: SparrowError): void;
  /** As `close`, and streams are told as well: the server is silent. */
  abandon(error: SparrowError): void;
  /** Gives the calls that are meant to `lost`, and tells such streams; the connection goes on. */
  release(meant: (what: AnyCall | SideStream) => boolean, error: SparrowError): void;
}

export type OpenConnection = (address: string, events: ConnectionEvents) => Connection;
