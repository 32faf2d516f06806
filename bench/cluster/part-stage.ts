/** Where a part about shards and nodes gets its clusters, and tells what it measured. */
import type { Cluster } from './cluster.ts';
import type { PartResult } from './part-result.ts';

export interface PartStage<R extends PartResult = PartResult> {
  /** A new cluster of ours, of which the first three nodes have the metaserver. */
  readonly start: (name: string, nodes: number) => Promise<Cluster>;
  readonly onResult: (result: R) => void;
  /** Where CPU profiles go. */
  readonly profile: (name: string) => string | undefined;
}
