/** Requests and answers between a simulated client and a simulated server: JSON, one frame each. */
import type { Changes, Condition, Found, WriteAnswer } from './kv-client.ts';

export interface RequestFrame {
  readonly call: number;
  /** Who leads, and where everybody is. */
  readonly standing?: true;
  /** Whom the call is for, as the sender knows it. Left out: the node finds out. */
  readonly shard?: number | undefined;
  readonly epoch?: number | undefined;
  readonly read?: readonly string[];
  /** Of a read: any node may serve it. */
  readonly anyNode?: { readonly staleMs: number } | undefined;
  /** A verb of the metaserver, and its request's bytes in base64. */
  readonly meta?: { readonly verb: 'topology'; readonly request: string };
  readonly write?: {
    readonly client: string;
    readonly sequence: number;
    readonly seen: number;
    readonly changes: Changes;
    readonly conditions: readonly Condition[];
  };
}

export interface AnswerFrame {
  readonly call: number;
  readonly found?: readonly Found[];
  readonly written?: WriteAnswer;
  /** Bytes of what the metaserver says, in base64. */
  readonly meta?: string;
  /** Nodes by their numbers from 1 on, 0: nobody. `members`: addresses, in that order. */
  readonly standing?: { readonly node: number; readonly leader: number; readonly term: number; readonly members: readonly string[] };
  /** `applied` false: this attempt had no effect. `leader`: the node to ask, by its number. */
  readonly error?: {
    readonly kind: string;
    readonly code: string;
    readonly applied: boolean | undefined;
    readonly leader: number | undefined;
    readonly leaderAddress?: string | undefined;
    /** Which one refused. */
    readonly shard?: number | undefined;
    readonly term?: number;
    /** Of WRONG_SHARD: what the node knows instead (proto/shard-notes.ts). */
    readonly shards?: string;
  };
}

export function encodeFrame(frame: RequestFrame | AnswerFrame): Uint8Array {
  return Buffer.from(JSON.stringify(frame));
}

export function decodeRequest(bytes: Uint8Array): RequestFrame {
  return decode(bytes) as RequestFrame;
}

export function decodeAnswer(bytes: Uint8Array): AnswerFrame {
  return decode(bytes) as AnswerFrame;
}

function decode(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
}
