/**
 * The directory of a store as commands are given it:
 *
 *   its own
 *   DATA                  of a server: the store of its first shard. That there are others is said on stderr
 *   DATA/groups/NNNNNN    of shard NNNNNN of that server
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

import { plural } from '../../terminal/progress.ts';

/** The first shard's, and the metaserver's. */
const OWN_GROUPS: ReadonlySet<string> = new Set(['000001', '000002']);
const GROUP_NAME = /^\d{6,}$/;

/** Throws `invalid/NOT_A_STORE` for a server's directory without data of that shard, `corrupt/CORRUPT_GROUP`. */
export async function storeDirectory(path: string): Promise<string> {
  const groups = dirname(resolve(path));
  const data = dirname(groups);
  if (basename(groups) === 'groups' && GROUP_NAME.test(basename(path)) && isServers(data)) {
    const { engineDirectory } = await import('../../../server/index.ts');
    return engineDirectory(data, Number(basename(path)));
  }
  if (!isServers(path)) return path;
  const { engineDirectory } = await import('../../../server/index.ts');
  const directory = engineDirectory(path);
  const others = readdirSync(join(path, 'groups')).filter((name) => GROUP_NAME.test(name) && !OWN_GROUPS.has(name));
  if (others.length > 0) {
    const each = `${join(path, 'groups', others[0]!)}${others.length > 1 ? ' and so on' : ''}`;
    process.stderr.write(`${path} is a server's, and this is about its first shard; ${plural(others.length, 'other')}: ${each}\n`);
  }
  return directory;
}

function isServers(directory: string): boolean {
  return existsSync(join(directory, 'node.json'));
}
