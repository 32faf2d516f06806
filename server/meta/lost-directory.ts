/**
 * What is said to a node that comes without the directory that the cluster knows it by: with it everything is lost that the node has promised to the members of
 * its shards, so it must not vote under the same id again. Pure.
 *
 * Said by changes/nodes.ts when it registers, and by server/join.ts before it makes a directory.
 */
import { SparrowError } from '../../base/errors.ts';

/** `free`: an id that was never used. `isMember`: of shard 1, whose members are replaced by hand. */
export function idTaken(node: number, free: number, isMember: boolean): SparrowError {
  return new SparrowError(
    'invalid',
    'NODE_ID_TAKEN',
    `node ${node} is in this cluster, with another data directory: if that is lost, ${joinAnew(node, free, isMember)}`,
    { field: 'nodeId', node, free, applied: false },
  );
}

/** An imperative sentence, without its beginning and end. */
export function joinAnew(node: number, free: number, isMember: boolean): string {
  const old = isMember
    ? `have it take the place of node ${node} ("sparrowkv cluster replace ${node} ${free}")`
    : `have what node ${node} had made anew ("sparrowkv cluster decommission ${node}")`;
  return `start it with an empty directory as a new node (--node-id ${free} --join), and ${old}`;
}
