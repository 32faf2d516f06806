/** What workloads ask of a store, whatever stands behind it: one server in the same process, or a cluster over a network. */
export interface KvClient {
  /** Keys as of one moment. `anyNode`: of whichever node, as of at most so many milliseconds ago. */
  read(keys: readonly string[], anyNode?: { readonly staleMs: number }): Promise<Outcome<readonly Found[]>>;
  /** Writes all, if all conditions hold; `null` deletes. */
  write(changes: Changes, conditions?: readonly Condition[]): Promise<Outcome<WriteAnswer>>;
}

export type Changes = Readonly<Record<string, string | null>>;

export interface Found {
  /** Undefined: missing. */
  readonly value: string | undefined;
  /** Of the write that stored it; 0: missing. */
  readonly version: number;
}

/** Version 0: the key is missing. */
export interface Condition {
  readonly key: string;
  readonly version: number;
}

export type WriteAnswer =
  | { readonly applied: true; readonly version: number }
  /** The condition that failed, and what its key has. */
  | { readonly applied: false; readonly condition: number; readonly found: Found };

/** `refused`: it had no effect and will have none. `unknown`: nobody can tell. */
export type Outcome<A> =
  | { readonly status: 'answered'; readonly answer: A }
  | { readonly status: 'refused' }
  | { readonly status: 'unknown' };
