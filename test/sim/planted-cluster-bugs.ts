/** Bugs to plant in what several nodes need: each found by a cluster in the simulation (planted.ts). Those of the core alone are in test/server/raft/planted-bugs.ts. */
import type { PlantedBug } from './planted-bugs.ts';

const REPLICA = 'server/node/replica.ts';
const FEED = 'server/node/log-feed.ts';
const DIRECTORY = 'server/node/group-directory.ts';
const MACHINE = 'server/node/state-machine.ts';
const RETENTION = 'server/node/log-retention.ts';
const RAFT = 'server/raft/raft.ts';

/** Three nodes that stay the group. */
const THREE: readonly string[] = ['--nodes', '3'];
/** Members come and go. */
const CHANGING: readonly string[] = ['--nodes', '5', '--voters', '3'];

export const PLANTED_CLUSTER_BUGS: readonly PlantedBug[] = [
  {
    name: 'entries are acknowledged before they are durable',
    file: REPLICA,
    find: '    (inOrder ? this.#storeInOrder(output) : this.#feed.append(output)).then(\n',
    plant:
      '    (inOrder ? this.#storeInOrder(output) : this.#feed.append(output)).catch((error: unknown) => this.#fail(error));\n    Promise.resolve().then(\n',
    cluster: THREE,
  },
  {
    name: 'a vote need not be durable',
    file: RAFT,
    find: ' || hardState.term !== handed.term || hardState.vote !== handed.vote;',
    plant: ';',
    cluster: THREE,
  },
  {
    name: 'a commit index is durable before the entries that take the place of others',
    file: FEED,
    find: 'if (!replaces || ',
    plant: 'if (replaces || ',
    cluster: THREE,
  },
  {
    name: 'a leader reads without making sure that it leads',
    file: REPLICA,
    find: '    if (this.#readsAtOnce) return undefined;\n',
    plant: '    if (this.#leads !== 0) return undefined;\n',
    cluster: THREE,
  },
  {
    name: 'followers read as if they led',
    file: REPLICA,
    find: '    if (this.#readsAtOnce) return undefined;\n',
    plant: '    if (this.#raft.leader !== 0) return undefined;\n',
    cluster: THREE,
  },
  {
    name: 'confirmed reads do not wait for what is to be applied',
    file: 'server/node/reads.ts',
    find: '    this.#confirmed.push({ index, reads: this.#asked.get(read) ?? [] });\n',
    plant: '    this.#confirmed.push({ index: Math.min(index, 0), reads: this.#asked.get(read) ?? [] });\n',
    cluster: THREE,
  },
  {
    name: 'a write whose leader lost its lead counts as done',
    file: 'server/node/proposals.ts',
    find: "    for (const proposal of pending) this.#refuse(proposal, lost('the lead was lost; whether the write is applied is not known', {}));\n",
    plant:
      "    for (const proposal of pending) {\n      this.#leave(proposal);\n      proposal.resolve({ outcome: 'applied', version: 1 });\n    }\n",
    cluster: THREE,
  },
  {
    name: 'the log is cut before the engine has what goes',
    file: RETENTION,
    find: '    this.#checkpoints.push({ index, bytes });\n',
    plant: '    this.#checkpoints.push({ index: index + 5, bytes });\n',
    cluster: THREE,
  },
  {
    name: 'a snapshot is called newer than it is',
    file: REPLICA,
    find: '      await machine.mark();\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'a snapshot takes the place of the engine before the term is durable',
    file: REPLICA,
    find: '    if (hardState !== undefined) await this.#feed.appendTerm(hardState);\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'the commit index of a snapshot is durable before the snapshot',
    file: FEED,
    find: '{ ...hardState, commit: this.#commit }',
    plant: 'hardState',
    cluster: THREE,
  },
  {
    name: 'the log keeps what came before a snapshot',
    file: REPLICA,
    find: '    await this.#feed.restore(index, term);\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'a crash between a snapshot and the log is not mended',
    file: REPLICA,
    find: '    await finishInstall(parts);\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'where the engine is, is not synced',
    file: DIRECTORY,
    find: '    this.#fileSystem.renameSync(path, `${this.path}/current`);\n    this.#fileSystem.syncDirectorySync(this.path);\n',
    plant: '    this.#fileSystem.renameSync(path, `${this.path}/current`);\n',
    cluster: THREE,
  },
  {
    name: 'a snapshot that nobody needs blocks the next one',
    file: REPLICA,
    find: '    if (output.snapshot === undefined && this.#installing === undefined) this.#arrived = undefined;\n',
    plant: '',
    cluster: THREE,
  },
  {
    name: 'what becomes of a snapshot is not told',
    file: REPLICA,
    find: '        () => reported(false),\n',
    plant: '        () => undefined,\n',
    cluster: THREE,
  },
  {
    name: 'who the members are is not kept',
    file: MACHINE,
    find: '    if (entry.change !== undefined || !this.#configurationWritten) {\n',
    plant: '    if (!this.#configurationWritten) {\n',
    cluster: CHANGING,
  },
  {
    name: 'a majority is one less',
    file: 'server/raft/quorum.ts',
    find: '  return Math.floor(voters / 2) + 1;\n',
    plant: '  return Math.max(1, Math.floor(voters / 2));\n',
    cluster: THREE,
  },
  {
    name: 'votes are given to those who lack entries',
    file: 'server/raft/election.ts',
    find: 'const granted = free && log.isUpToDate(request.lastIndex, request.lastTerm);',
    plant: 'const granted = free;',
    cluster: THREE,
  },
  {
    name: 'what storage says of an older term counts',
    file: RAFT,
    find: '    if (token.term < state.term) return;\n',
    plant: '',
    cluster: THREE,
  },
];
