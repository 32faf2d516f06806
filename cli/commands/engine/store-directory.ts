/** The directory of a store as commands are given it: its own, or the --data of a server, below which its engine is. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export async function storeDirectory(path: string): Promise<string> {
  if (!existsSync(join(path, 'node.json'))) return path;
  const { engineDirectory } = await import('../../../server/index.ts');
  return engineDirectory(path);
}
