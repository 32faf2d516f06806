/**
 * What a stopped node has on its disk: the engine, and what its log has beyond it up to an index that is known to be committed. Read with the server's own
 * parts, as a node that starts would, but without others: a replica's own word for what it holds.
 */
import { createHash as startHash } from 'node:crypto';
import { join } from 'node:path';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler } from '../../base/node/index.ts';
import { type HostedEngine, open } from '../../engine/index.ts';
import { groupsDirectory } from '../../server/data-directory.ts';
import { type GroupLog, NodeLog, nameOfGroup, ReplicaStore } from '../../server/node/index.ts';
import { OWN_PREFIX } from '../../server/node/keys.ts';
import { StateMachine } from '../../server/node/state-machine.ts';
import { votersOnly } from '../../server/raft/index.ts';
import { engineOptions, resolveSettings, type ServerSettingsInput } from '../../server/settings.ts';
import { createHash, hash } from '../server/transport/hash.ts';

export interface StoppedReplica {
  /** What users wrote. */
  readonly contents: ReadonlyMap<string, string>;
  /** Of all that replicas have in common: keys, values, versions, remembered requests, members. */
  readonly digest: string;
}

const READ_BYTES = 1 << 22;

/**
 * `settings`: those that the node ran with. `indexes`: of each group that is to be read, up to where the node has applied it, and everything that is committed is in that.
 * Throws when the log of one ends before.
 */
export async function readStoppedNode(
  data: string,
  settings: Readonly<Record<string, unknown>>,
  indexes: ReadonlyMap<number, number>,
): Promise<Map<number, StoppedReplica>> {
  const { raft, ...rest } = resolveSettings({ ...settings, data } as ServerSettingsInput);
  const [fileSystem, scheduler] = [new NodeFileSystem(), new NodeScheduler()];
  const log = NodeLog.open({
    ...{ fileSystem, hash, scheduler, clock: new NodeClock(), random: new NodeRandom() },
    ...{ directory: join(data, 'log'), segmentBytes: raft.segmentBytes, cacheBytes: 0 },
  });
  const hosted = { segmentPath: (segment: number) => log.segmentPath(segment) };
  const openEngine = (path: string): Promise<HostedEngine> => open(path, engineOptions({ raft, ...rest }), { hosted });
  const replicas = new Map<number, StoppedReplica>();
  try {
    for (const [group, index] of indexes) {
      const directory = join(groupsDirectory(data), nameOfGroup(group));
      const store = await ReplicaStore.open({ fileSystem, directory, openEngine, hash, createHash, scheduler });
      try {
        replicas.set(group, await readReplica(store.engine, log.group(group), index));
      } finally {
        store.close();
        await store.closeEngine();
      }
    }
    return replicas;
  } finally {
    await log.close();
  }
}

async function readReplica(engine: HostedEngine, log: GroupLog, index: number): Promise<StoppedReplica> {
  const { lastIndex } = log.contents();
  if (lastIndex < index) throw new Error(`the log of group ${log.id} ends at ${lastIndex}, and the node had applied ${index}`);
  const machine = new StateMachine({ engine, log, beginning: votersOnly([]) });
  while (machine.applied < index) {
    const entries = await log.read(machine.applied + 1, index, READ_BYTES);
    if (entries.length === 0) throw new Error(`group ${log.id} has applied ${machine.applied}, and its log does not have the next entry`);
    for (const entry of entries) await machine.apply(entry);
  }
  const contents = new Map<string, string>();
  const digest = startHash('sha256');
  for (const [key, value] of engine.scanSync()) {
    const own = key[0] === OWN_PREFIX;
    digest
      .update(`${key.length} ${value.length} ${own ? '' : engine.getEntrySync(key)!.version}\n`)
      .update(key)
      .update(value);
    if (!own) contents.set(text(key.subarray(1)), text(value));
  }
  return { contents, digest: digest.digest('hex') };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
