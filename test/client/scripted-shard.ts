/** One shard of a scripted cluster (scripted-shards.ts): what its replicas agree on, and how it is told of. */
import { keyHash } from '../../base/key-hash.ts';
import type { ShardKeys } from '../../client/shard-map.ts';
import type { Range, ShardEntry } from '../../proto/index.ts';
import { inRange } from './fake-server.ts';

export interface ScriptedTable {
  readonly id: number;
  readonly name: string;
  readonly kind: 'range' | 'hash';
}

export class ScriptedShard {
  readonly id: number;
  readonly table: ScriptedTable;
  epoch: number;
  keys: ShardKeys;
  state: 'normal' | 'sealed' = 'normal';
  /** Its node; 0: none leads. */
  leader: number;
  term = 1;
  /** Node ids. */
  replicas: number[];
  version: number;
  readonly data: Map<string, { value: string; version: number }> = new Map();
  /** By request id. */
  readonly answers: Map<string, number> = new Map();
  /** Writes that were applied here, each request id once. */
  writes = 0;

  constructor(id: number, table: ScriptedTable, keys: ShardKeys, epoch: number, replicas: number[], version = 0) {
    this.id = id;
    this.table = table;
    this.keys = keys;
    this.epoch = epoch;
    this.replicas = replicas;
    this.leader = replicas[0]!;
    this.version = version;
  }

  has(key: string): boolean {
    const bytes = Buffer.from(key, 'latin1');
    const { keys } = this;
    if (keys.kind === 'hash') return keyHash(bytes) % 2 ** keys.bits === keys.index;
    return Buffer.compare(bytes, keys.start) >= 0 && (keys.end === undefined || Buffer.compare(bytes, keys.end) < 0);
  }
}

/** As the metaserver tells it. */
export function entryOf({ id, table, epoch, keys, replicas, leader, state }: ScriptedShard): ShardEntry {
  return {
    shard: id,
    table: table.id,
    epoch,
    keys: {
      keys:
        keys.kind === 'hash'
          ? { $case: 'hash', value: { bits: keys.bits, index: keys.index } }
          : { $case: 'range', value: { start: Buffer.from(keys.start), end: keys.end && Buffer.from(keys.end) } },
    },
    state,
    replicas: replicas.map((node) => ({ node, kind: 1 })),
    leader,
  };
}

/** As a get finds it. */
export function entryOfKey({ data }: ScriptedShard, key: string): unknown {
  const entry = data.get(key);
  return { found: entry !== undefined, value: bytesOf(entry?.value ?? ''), version: entry?.version ?? 0 };
}

/** It has all keys of its table. */
export function isWhole({ keys }: ScriptedShard): boolean {
  return keys.kind === 'hash' ? keys.bits === 0 : keys.start.length === 0 && keys.end === undefined;
}

export function within(key: string, range: Range | undefined): boolean {
  const buffers = Object.entries(range ?? {}).map(([name, bound]) => [
    name,
    bound === undefined ? undefined : Buffer.from(bound as Uint8Array),
  ]);
  return inRange(key, Object.fromEntries(buffers) as Range);
}

export function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
