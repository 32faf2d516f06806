/** Whoever looks after a simulated cluster while faults happen, and judges it when they are over: of one group, of shards, of a cluster that runs itself. */
export interface Oversight {
  /** Before anything happens, once all serve: what cannot be made ready, if so. */
  prepare?(): Promise<string | undefined>;
  /** At work from now on. */
  begin(): void;
  /** Begins nothing new: everything is healed. */
  end(): void;
  /** When all serve again: what does not come to rest by itself, if so. */
  unrest(): Promise<string | undefined>;
  /** At rest: in what replicas are not what they should be. */
  difference(): Promise<string | undefined>;
}
