/**
 * What lies where in the data directory of a node.
 *
 *   DATA/LOCK             held while a process has the directory open
 *   DATA/node.json        whose it is (node/node-identity.ts)
 *   DATA/nodes.json       where the other nodes were when it knew last (known-nodes.ts)
 *   DATA/removed          there: the node was removed from its cluster (removal.ts)
 *   DATA/log/             the node's log, one for all groups (node/log)
 *   DATA/groups/NNNNNN/   a group's replica: its engine (node/group-directory.ts); 000001 is the first shard's, 000002 the metaserver's
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SparrowError } from '../base/errors.ts';
import { NodeFileSystem } from '../base/node/index.ts';
import { xxh64 } from '../base/xxh64.ts';
import { engineOfGroup, nameOfGroup } from './node/index.ts';
import { FIRST_SHARD } from './shard/descriptor.ts';

export const logDirectory = (data: string): string => join(data, 'log');

export const groupsDirectory = (data: string): string => join(data, 'groups');

/**
 * The directory of a shard's engine in a node's data directory, for work on it while no server has it open. Throws `invalid/NOT_A_STORE` where there is none
 * yet, `corrupt/CORRUPT_GROUP`.
 */
export function engineDirectory(data: string, group: number = FIRST_SHARD): string {
  const hash = (bytes: Uint8Array, seed: bigint): bigint => {
    const { high, low } = xxh64(bytes, 0, bytes.length, Number(seed & 0xffffffffn), Number(seed >> 32n));
    return (BigInt(high) << 32n) | BigInt(low);
  };
  const directory = engineOfGroup(new NodeFileSystem(), join(groupsDirectory(data), nameOfGroup(group)), hash);
  if (directory !== undefined) return directory;
  throw new SparrowError('invalid', 'NOT_A_STORE', `${data} is that of a server, and holds no data of shard ${group}`, { directory: data });
}

/** Of layouts that no release had. */
const OLDER = [
  ['raft', 'a log'],
  ['engine', 'an engine'],
] as const;

/** Throws `invalid/FORMAT_OLDER`. Makes nothing. */
export function refuseOlderLayout(data: string): void {
  for (const [name, what] of OLDER) {
    const file = join(data, name);
    if (!existsSync(file)) continue;
    const message = `${file} is ${what} of an older layout, which this version of SparrowKV does not read (export the data with the version that wrote it, and import it into a new directory)`;
    throw new SparrowError('invalid', 'FORMAT_OLDER', message, { file });
  }
}
