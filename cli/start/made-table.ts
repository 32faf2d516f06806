/**
 * The table that the guided start fills: a range of a few shards, divided between directories of the tree where about the same is on both sides. As it
 * grows, shards are split further.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Client } from '../../client/index.ts';
import { plural } from '../terminal/progress.ts';
import { walkTree } from '../tree/walk.ts';
import { say } from './say.ts';

export const TABLE = 'files';

const SHARDS = 6;
const TRIES_MAX = 20;
const PAUSE_MS = 500;
const SLASH = 0x2f;

export interface MadeTableOptions {
  readonly tree: string;
  readonly replicas: number;
  readonly signal: AbortSignal;
}

export interface MadeTable {
  /** Whether it was there before. */
  readonly found: boolean;
  /** Of the tree. */
  readonly totals: { readonly files: number; readonly bytes: number };
}

/** Settles when every shard has a leader. */
export async function madeTable(client: Client, { tree, signal, replicas }: MadeTableOptions): Promise<MadeTable> {
  const { files, bytes, byDirectory } = await measureDirectories(Buffer.from(tree), signal);
  const splitKeys = splitKeysOf(byDirectory, SHARDS);
  const found = await hasTable(client, signal);
  if (!found) {
    await create(client, splitKeys, replicas, signal);
    say(
      `Made table ${TABLE}: a range of ${plural(splitKeys.length + 1, 'shard')} of ${plural(replicas, 'replica')} each, which divide as they grow.`,
    );
  }
  return { found, totals: { files, bytes } };
}

/** A new cluster needs a moment until it takes tables; and an answer that is lost may have been a table that is made. */
async function create(client: Client, splitKeys: readonly Uint8Array[], replicas: number, signal: AbortSignal): Promise<void> {
  for (let left = TRIES_MAX; ; left--) {
    try {
      await client.tables.create(TABLE, { partitioning: { range: splitKeys }, replicas, signal });
      return;
    } catch (error) {
      if (await hasTable(client, signal)) return;
      if (!(error instanceof SparrowError) || error.kind !== 'unavailable' || left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

async function hasTable(client: Client, signal: AbortSignal): Promise<boolean> {
  for (let left = TRIES_MAX; ; left--) {
    try {
      return (await client.tables.get(TABLE, { signal })) !== undefined;
    } catch (error) {
      if (!(error instanceof SparrowError) || error.kind !== 'unavailable' || left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

interface Measured {
  readonly files: number;
  readonly bytes: number;
  /** Name of each directory and file at the top, with the bytes in it. */
  readonly byDirectory: readonly { readonly name: Buffer; readonly bytes: number }[];
}

async function measureDirectories(root: Buffer, signal: AbortSignal): Promise<Measured> {
  let files = 0;
  let bytes = 0;
  const byDirectory = new Map<string, number>();
  for await (const item of walkTree(root, signal)) {
    if (item.kind === 'skipped') continue;
    files++;
    if (item.kind === 'file') bytes += item.bytes;
    const slash = item.path.indexOf(SLASH);
    // Names are bytes: latin1 keeps each of them.
    const name = Buffer.from(slash < 0 ? item.path : item.path.subarray(0, slash)).toString('latin1');
    byDirectory.set(name, (byDirectory.get(name) ?? 0) + (item.kind === 'file' ? item.bytes : 0));
  }
  const measured = [...byDirectory].map(([name, inside]) => ({ name: Buffer.from(name, 'latin1'), bytes: inside }));
  return { files, bytes, byDirectory: measured.sort((a, b) => Buffer.compare(a.name, b.name)) };
}

/** At most `shards - 1` names, in order: where as many equal parts end, as far as directories let them. */
export function splitKeysOf(directories: readonly { readonly name: Uint8Array; readonly bytes: number }[], shards: number): Uint8Array[] {
  const all = directories.reduce((sum, { bytes }) => sum + bytes, 0);
  const keys: Uint8Array[] = [];
  let before = 0;
  for (const { name, bytes } of directories) {
    if (before > 0 && keys.length < shards - 1 && before >= (all * (keys.length + 1)) / shards) keys.push(name);
    before += bytes;
  }
  return keys;
}
