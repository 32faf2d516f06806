/** An operator: what is done about a shard, as a list of steps (placement/steps.ts), and how far it is. Its record is persisted. */

/** Why there is one. In order of what goes first where there is room for a few only. */
export type OperatorKind =
  /** The first replicas of a new shard. */
  | 'create'
  /** Replicas of nodes that are down, or missing, made anew. */
  | 'repair'
  /** Replicas where, or as, the table's rules do not want them. */
  | 'rule'
  /** What leaves a node that drains or is decommissioned. */
  | 'drain'
  /** Leads to where they should be. */
  | 'lead'
  /** Surplus members and replicas of nobody are removed. */
  | 'tidy'
  | 'split'
  | 'merge'
  /** Replicas from nodes that have much to nodes that have little. */
  | 'balance'
  | 'describe'
  | 'drop'
  /** Asked for. */
  | 'move'
  | 'transfer';

/**
 * Each is idempotent, and done when the reported state says so (placement/progress.ts), so that a new leader of META_GROUP goes on where the
 * last one was. `node`, `voter`, `from` and `to` are nodes. What a node is told for it: an order (orders.ts).
 */
export type Step = { readonly shard: number } &
  /** A replica is made on `node`: of a new shard with its first `voters`, else with none: it waits to be taken in. */
  (
    | { readonly type: 'create-replica'; readonly node: number; readonly voters: readonly number[] }
    | { readonly type: 'add-learner'; readonly node: number; readonly witness: boolean }
    /** Nothing is ordered: the learner gets the log, or a snapshot. */
    | { readonly type: 'catch-up'; readonly node: number }
    | { readonly type: 'promote'; readonly node: number }
    /** `node`, a learner, gets the vote of `voter`, in one joint change: at no time does the group bear fewer failures than before. */
    | { readonly type: 'replace'; readonly voter: number; readonly node: number }
    /** The lead goes to `to`; where `from` is given it is done as soon as that one does not lead, whoever does. */
    | { readonly type: 'transfer'; readonly from: number; readonly to: number }
    | { readonly type: 'demote'; readonly node: number }
    | { readonly type: 'remove'; readonly node: number }
    | { readonly type: 'destroy-replica'; readonly node: number }
    /** At `key`; undefined: in the middle as the leader's samples say (range), or by the next bit (hash). */
    | { readonly type: 'split'; readonly child: number; readonly epoch: number; readonly key: Uint8Array | undefined }
    /** Merge: `shard` is the target, `source` goes. */
    | { readonly type: 'seal' | 'import' | 'retire' | 'discard' | 'unseal'; readonly source: number }
    | { readonly type: 'commit-merge'; readonly source: number; readonly epoch: number }
    /** The leader is told what its table says now. */
    | { readonly type: 'describe' }
    /** Its replicas are destroyed wherever they are, and its record goes. */
    | { readonly type: 'destroy-shard' }
  );

/** Persisted, from the moment that it is decided. Ended ones are kept for a while, for who asks what happened. */
export interface OperatorRecord {
  readonly id: number;
  readonly shard: number;
  /** Merge: the source. Split: the child. Nobody else works on that one either. */
  readonly other: number | undefined;
  readonly kind: OperatorKind;
  /** One sentence, with figures. */
  readonly reason: string;
  /** 'policy', or who asked for it. */
  readonly by: string;
  readonly steps: readonly Step[];
  /** Index of the step that is under way. */
  readonly at: number;
  readonly state: 'running' | 'done' | 'cancelled' | 'failed';
  /** Why it did not, or will not, end as it was meant to. */
  readonly ending: string | undefined;
  /** It is given up, and its steps are those that undo it; what it is called when they are done. */
  readonly undoing?: 'cancelled' | 'failed';
  readonly startedAtMs: number;
  /** When step `at` began, or the operator ended. */
  readonly stepAtMs: number;
}
