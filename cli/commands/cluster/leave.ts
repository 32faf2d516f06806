/** `sparrowkv cluster drain|undrain|decommission`: nodes that are to be left, for a while or for good. */
import { setTimeout as pause } from 'node:timers/promises';

import type { Command } from 'commander';

import { type ClusterOperation, type MetaAdmin, SparrowError } from '../../../client/index.ts';
import { withMeta } from '../../meta-command.ts';
import { departureText } from '../../terminal/cluster-text.ts';
import { formatCount, plural } from '../../terminal/progress.ts';
import { goesOnWithout, operate, verb, type VerbOptions } from './verbs.ts';

const DRAIN_HELP = `
For long work on a machine: all replicas and leads move to other nodes, and it gets none until "undrain".
For a short restart stop it in order: it hands its leads over by itself.

A replica needs a node to go to: where there are only as many nodes as replicas, the leads leave and the
replicas stay. That is said at once, and --wait goes on until it is otherwise.

Examples:
  sparrowkv cluster drain 3 --dry-run
  sparrowkv cluster drain 3 --wait
  sparrowkv cluster undrain 3
`;
const UNDRAIN_HELP = `
The node gets replicas and leads again. One that is decommissioned is called back as long as it is under way.

Examples:
  sparrowkv cluster undrain 3
`;
const DECOMMISSION_HELP = `
As drain, for good: when the last replica has gone, the node is no part of the cluster any more and can be
stopped; its id is not used again. "undrain" calls it back as long as it is under way.

Examples:
  sparrowkv cluster decommission 3 --dry-run
  sparrowkv cluster decommission 3 --wait
`;

type Leaving = 'drain' | 'decommission';

/** What is so then. */
const DONE: Readonly<Record<Leaving, string>> = {
  drain: 'has no replica any more: its machine can be worked on',
  decommission: 'is no part of the cluster any more: stop it',
};

const LOOK_MS = 500;
/** A word on how it stands, this often, when it has changed. */
const NOTE_MS = 3000;

export function addLeave(cluster: Command): void {
  verb(cluster, 'drain', 'node', 'move everything away from a node, before its machine is worked on', DRAIN_HELP)
    .option('--wait', 'until it has nothing any more')
    .action((node: number, options: VerbOptions) => leave('drain', node, options));
  verb(cluster, 'undrain', 'node', 'the end of drain and decommission', UNDRAIN_HELP).action((node: number, options: VerbOptions) =>
    operate(options, { $case: 'undrain', value: { node } }, `node ${node} gets replicas and leads`),
  );
  verb(cluster, 'decommission', 'node', 'move everything away from a node, for good', DECOMMISSION_HELP)
    .option('--wait', 'until it is removed')
    .action((node: number, options: VerbOptions) => leave('decommission', node, options));
}

async function leave(verb: Leaving, node: number, options: VerbOptions): Promise<void> {
  const operation: ClusterOperation = { $case: verb, value: { node } };
  await withMeta(options, async (meta, signal) => {
    const dryRun = options.dryRun === true;
    const replicas = await meta.operate({ operation, dryRun });
    const text = departureText(node, replicas, dryRun);
    if (dryRun || options.wait !== true) return { found: replicas, text: `${text}${dryRun || replicas.length === 0 ? '' : UNDER_WAY}` };
    process.stderr.write(text);
    await left(meta, verb, node, signal);
    return { found: replicas, text: `node ${node} ${DONE[verb]}\n` };
  });
}

const UNDER_WAY = 'under way: "sparrowkv cluster nodes" tells what it still has, "sparrowkv cluster operators" what moves\n';

/** Waits for as long as it takes. */
async function left(meta: MetaAdmin, verb: Leaving, node: number, signal: AbortSignal): Promise<void> {
  goesOnWithout(signal);
  let noteMs = performance.now() + NOTE_MS;
  let said = '';
  for (;;) {
    const found = (await meta.survey({ withoutShards: true })).nodes.find(({ entry }) => entry?.node === node);
    const state = found?.state ?? 'removed';
    if (state === 'removed' || (verb === 'drain' && found?.replicas === 0)) return;
    if (state === 'up') {
      throw new SparrowError('conflict', 'NOT_LEAVING', `node ${node} is not to be left any more: somebody has called it back`, { node });
    }
    if (performance.now() >= noteMs) {
      const note = `node ${node}: ${plural(found?.replicas ?? 0, 'replica')} left${await hindered(meta, verb, node)}\n`;
      if (note !== said) process.stderr.write(note);
      said = note;
      noteMs = performance.now() + NOTE_MS;
    }
    await pause(LOOK_MS, undefined, { signal });
  }
}

/** What cannot move now, and why. */
async function hindered(meta: MetaAdmin, verb: Leaving, node: number): Promise<string> {
  const replicas = await meta.operate({ operation: { $case: verb, value: { node } }, dryRun: true });
  const notes = replicas.flatMap(({ note }) => (note === '' ? [] : [note]));
  return notes.length === 0 ? '' : `; ${formatCount(notes.length)} cannot move now: ${notes[0]}`;
}
