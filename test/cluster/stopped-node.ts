/**
 * What a stopped node has on its disk: the engine, and what its log has beyond it up to an index that is known to be committed. Read with the server's own
 * parts, as a node that starts would, but without others: a replica's own word for what it holds.
 */
import { createHash as startHash } from 'node:crypto';
import { join } from 'node:path';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler } from '../../base/node/index.ts';
import { type HostedEngine, open } from '../../engine/index.ts';
import { NodeLog, ReplicaStore } from '../../server/node/index.ts';
import { OWN_PREFIX } from '../../server/node/keys.ts';
import { StateMachine } from '../../server/node/state-machine.ts';
import { votersOnly } from '../../server/raft/index.ts';
import { engineOptions, resolveSettings, type ServerSettingsInput } from '../../server/settings.ts';
import { createHash, hash } from '../server/transport/hash.ts';

export interface StoppedNode {
  readonly applied: number;
  /** What users wrote. */
  readonly contents: ReadonlyMap<string, string>;
  /** Of all that replicas have in common: keys, values, versions, remembered requests, members. */
  readonly digest: string;
}

const GROUP = 1;
const GROUP_DIRECTORY = 'groups/000001';
const READ_BYTES = 1 << 22;

/** `settings`: those that the node ran with. `index`: it has applied that much, and everything that is committed is in it. */
export async function readStoppedNode(data: string, settings: Readonly<Record<string, unknown>>, index: number): Promise<StoppedNode> {
  const { raft, ...rest } = resolveSettings({ ...settings, data } as ServerSettingsInput);
  const fileSystem = new NodeFileSystem();
  const scheduler = new NodeScheduler();
  const log = NodeLog.open({
    fileSystem,
    directory: join(data, 'log'),
    hash,
    clock: new NodeClock(),
    scheduler,
    random: new NodeRandom(),
    segmentBytes: raft.segmentBytes,
    cacheBytes: 0,
  });
  const hosted = { segmentPath: (segment: number) => log.segmentPath(segment) };
  const openEngine = (path: string): Promise<HostedEngine> => open(path, engineOptions({ raft, ...rest }), { hosted });
  const store = await ReplicaStore.open({ fileSystem, directory: join(data, GROUP_DIRECTORY), openEngine, hash, createHash, scheduler });
  try {
    const entries = log.group(GROUP);
    const { lastIndex } = entries.contents();
    if (lastIndex < index) throw new Error(`the log in ${data} ends at ${lastIndex}, and the node had applied ${index}`);
    const machine = new StateMachine({ engine: store.engine, log: entries, beginning: votersOnly([]) });
    while (machine.applied < index) {
      for (const entry of await entries.read(machine.applied + 1, index, READ_BYTES)) await machine.apply(entry);
    }
    const contents = new Map<string, string>();
    const digest = startHash('sha256');
    for (const [key, value] of machine.engine.scanSync()) {
      const own = key[0] === OWN_PREFIX;
      digest
        .update(`${key.length} ${value.length} ${own ? '' : machine.engine.getEntrySync(key)!.version}\n`)
        .update(key)
        .update(value);
      if (!own) contents.set(text(key.subarray(1)), text(value));
    }
    return { applied: machine.applied, contents, digest: digest.digest('hex') };
  } finally {
    store.close();
    await log.close();
    await store.engine.close();
  }
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
