/** Bugs to plant in what many shards need, and the metaserver: each found by a cluster of shards (`--nodes 3 --shards`), or by one that runs itself (`--metaserver`). Planted by planted.ts. */
import type { PlantedBug } from './planted-bugs.ts';

const CHANGES = 'server/node/shard-changes.ts';
const VERBS = 'server/node/shard-verbs.ts';
const CHILDREN = 'server/node/child-maker.ts';
const DIRECTORY = 'server/node/group-directory.ts';
const MACHINE = 'server/node/state-machine.ts';
const AGENT = 'server/shard/node-agent.ts';
const RANGES = 'server/node/shard-ranges.ts';
const ROUTER = 'server/gateway/shard-router.ts';
const ELECTION = 'server/raft/election.ts';
const ATTENDANCE = 'server/meta/attendance.ts';
const DIAGNOSIS = 'server/meta/placement/diagnosis.ts';
const MEND = 'server/meta/placement/mend.ts';
const RULES = 'server/meta/placement/rules.ts';
const STEPS = 'server/meta/placement/steps.ts';

const SHARDS: readonly string[] = ['--nodes', '3', '--shards'];
const METASERVER: readonly string[] = ['--metaserver'];

export const PLANTED_SHARD_BUGS: readonly PlantedBug[] = [
  {
    name: 'a split forgets the epoch',
    file: CHANGES,
    find: '      epoch: this.#descriptor.epoch + 1,\n',
    plant: '      epoch: this.#descriptor.epoch,\n',
    cluster: SHARDS,
  },
  {
    name: 'a merge loses the tail',
    file: VERBS,
    find: '    this.#entries.push(entry);\n    this.entries++;\n',
    plant: '    if (this.entries >= 3) return undefined;\n    this.#entries.push(entry);\n    this.entries++;\n',
    cluster: SHARDS,
  },
  {
    name: 'a merge forgets which writes it has seen',
    file: CHANGES,
    find: '    this.#parts.requests.adopt(requests, batch);\n',
    plant: '    if (requests.length < 0) this.#parts.requests.adopt(requests, batch);\n',
    cluster: SHARDS,
  },
  {
    name: 'a merge retires its source as of whatever seal',
    file: AGENT,
    find: 'return retireShard(source, epoch, imported.sealed, NO_LIMIT);',
    plant: 'return retireShard(source, epoch, source.shard.sealed ?? imported.sealed, NO_LIMIT);',
    // Whoever commits would import again.
    also: {
      file: AGENT,
      find: '    if (imported?.source.shard === from && imported.sealed === sealed) return imported.session;\n',
      plant: '    if (imported?.source.shard === from) return imported.session;\n',
    },
    cluster: SHARDS,
  },
  {
    name: 'a child is made though it is there',
    file: CHILDREN,
    find: '    if (isGroup(fileSystem, directory)) {\n',
    plant: "    if (isGroup(fileSystem, directory) && directory === '') {\n",
    cluster: SHARDS,
  },
  {
    name: 'a child keeps what is not its own',
    file: CHILDREN,
    find: '  return [...deletionOfOthers(child.keys), { type:',
    plant: '  return [...deletionOfOthers(child.keys).slice(2), { type:',
    cluster: SHARDS,
  },
  {
    name: 'half a child is taken for an engine',
    file: DIRECTORY,
    find: '      this.#empty(this.engine);\n      this.#write',
    plant: '      this.#write',
    cluster: SHARDS,
  },
  {
    name: 'a write for another epoch is done',
    file: MACHINE,
    find: '    if (command.epoch !== 0 && command.epoch !== epoch) return',
    plant: '    if (command.epoch !== 0 && command.epoch > epoch) return',
    cluster: SHARDS,
  },
  {
    name: 'a sealed shard is written',
    file: MACHINE,
    find: "    if (state === 'sealed' || state === 'retired') return",
    plant: "    if (state === 'retired') return",
    cluster: SHARDS,
  },
  {
    name: 'a retired shard is read',
    file: ROUTER,
    find: "    if (state === 'retired' || (key",
    plant: '    if ((key',
    cluster: SHARDS,
  },
  {
    name: 'who lost a log votes for anybody',
    file: ELECTION,
    find: ' && hasPromised(state, lastIndex, lastTerm);\n',
    plant: ' && (lastIndex >= 0 || hasPromised(state, lastIndex, lastTerm));\n',
    cluster: METASERVER,
  },
  {
    name: 'two replicas in a zone',
    file: RULES,
    find: '  return Math.ceil(replicas / Math.max(1, zones));\n',
    plant: '  return Math.ceil(replicas / Math.max(1, zones)) + 1;\n',
    cluster: METASERVER,
  },
  {
    name: "a member's replica is destroyed as a stray",
    file: DIAGNOSIS,
    find: '    if (shard.record.replicas.some((replica) => replica.node === node) || applied > shard.membersAsOf) continue;\n',
    plant: '    if (shard.leader === node || applied > shard.membersAsOf) continue;\n',
    cluster: METASERVER,
  },
  {
    name: 'a replica is destroyed before its vote is given away',
    file: STEPS,
    find: "    { shard: id, type: 'replace', voter: from.node, node: to },\n",
    plant:
      "    { shard: id, type: 'destroy-replica', node: from.node },\n    { shard: id, type: 'replace', voter: from.node, node: to },\n",
    cluster: METASERVER,
  },
  {
    name: 'what a former member left behind stays in the way',
    file: MEND,
    find: 'if (proposeToDestroy(round, shard) || proposeToMake(round, shard)) return true;\n  round.block',
    plant: 'if (proposeToMake(round, shard)) return true;\n  round.block',
    cluster: METASERVER,
  },
  {
    name: 'a storm of heartbeats',
    file: ATTENDANCE,
    find: '      this.#report(attempt);\n      this.#schedule(reportMs, again);\n',
    plant: '      this.#report(attempt);\n      this.#schedule(1, again);\n',
    cluster: METASERVER,
  },
  {
    name: 'orders of a leader that was replaced are carried out, and it goes on giving them',
    file: ATTENDANCE,
    find: "    if (term < this.#term) return this.#giveUp(attempt, 'its term is over');\n    this.#term",
    plant: '    this.#term',
    also: {
      file: 'server/meta/metaserver.ts',
      find: '(!leads || term !== this.#lead.term)',
      plant: '(leads && term !== this.#lead.term)',
    },
    cluster: METASERVER,
  },
  {
    name: 'orders of a shard are carried out side by side, and what is done to one replica too',
    file: AGENT,
    find: '    const outcome = before.then(() => this.#attempt(order));\n',
    plant: '    void before;\n    const outcome = this.#attempt(order);\n',
    // What is done to one group's replica waits for each other there, too.
    also: {
      file: 'server/node/node-replicas.ts',
      find: '    const done = before.then(task);\n',
      plant: '    void before;\n    const done = task();\n',
    },
    cluster: SHARDS,
  },
  {
    name: 'both halves of a hash are the lower one',
    file: RANGES,
    find: "{ kind: 'hash', bits, index: keys.index + 2 ** keys.bits },",
    plant: "{ kind: 'hash', bits, index: keys.index },",
    cluster: SHARDS,
  },
  {
    name: 'what a hash has given away is never swept',
    file: CHANGES,
    find: "    if (parent.keys.kind === 'hash') this.#sweep = FIRST_KEY;\n",
    plant: '',
    cluster: SHARDS,
  },
];
