/**
 * A node that was removed from its cluster. Others tell it (they refuse its streams, or it asks), or its own log does. From then on it answers no calls
 * but those of operators, and its directory is marked, so that nobody starts it again under an id that is used up.
 *
 *   DATA/removed     there: the node was removed. What it says is for people
 */
import { join } from 'node:path';
import type { FileSystem } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { formatClusterId, type NodeIdentity } from './node/index.ts';

const NAME = 'removed';

/** What clients and operators are told. */
export function removedError({ nodeId, clusterId }: NodeIdentity): SparrowError {
  return new SparrowError(
    'unavailable',
    'NODE_REMOVED',
    `node ${nodeId} was removed from cluster ${formatClusterId(clusterId)}: it takes part in nothing any more`,
    { node: nodeId },
  );
}

/** Durable when it returns. */
export function markRemoved(fileSystem: FileSystem, directory: string, { nodeId, clusterId }: NodeIdentity): void {
  const path = join(directory, NAME);
  if (fileSystem.existsSync(path)) return;
  const text = Buffer.from(`node ${nodeId} was removed from cluster ${formatClusterId(clusterId)}\n`);
  const file = fileSystem.openSync(path, 'create');
  try {
    file.writeSync(text, 0, text.length, 0);
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
  fileSystem.syncDirectorySync(directory);
}

/** Throws `invalid/NODE_REMOVED` for a directory that is marked. */
export function refuseRemoved(fileSystem: FileSystem, directory: string, { nodeId, clusterId }: NodeIdentity): void {
  if (!fileSystem.existsSync(join(directory, NAME))) return;
  throw new SparrowError(
    'invalid',
    'NODE_REMOVED',
    `${directory} is that of node ${nodeId}, which was removed from cluster ${formatClusterId(clusterId)}: it cannot come back under this id. ` +
      'Start it with an empty directory and another id (--node-id, --join)',
    { directory, node: nodeId },
  );
}
