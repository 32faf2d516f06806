/** A replica of a shard: replica.ts is the place to start. */
export { NodeHost, type NodeHostParts, type NodeTransport } from './node-host.ts';
export { ChildMaker, type ChildMakerParts } from './child-maker.ts';
export { engineOfGroup, isGroup } from './group-directory.ts';
export { formatClusterId, hasIdentity, type NodeIdentity, openIdentity, type WantedIdentity } from './node-identity.ts';
export { handOver, successorOf } from './hand-over.ts';
export { WriteBudget, type WriteShare } from './write-budget.ts';
export { ReplicaStore, type ReplicaStoreParts } from './replica-store.ts';
export { Replica } from './replica.ts';
export type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
export type { MemberProgress, ReplicaStats } from './replica-stats.ts';
export { nameOfGroup, NodeReplicas, type NodeReplicasParts } from './node-replicas.ts';
export { type NodeShards, soleShard } from './node-shards.ts';
export { AddressBook, type NodeAddress } from './address-book.ts';
export { AddressFeed, type AddressFeedParts } from './address-feed.ts';
export {
  type GroupContents,
  type GroupDamage,
  type GroupLog,
  type Hash64,
  NodeLog,
  type NodeLogOptions,
  type NodeLogStats,
} from './log/index.ts';
export {
  addLearner,
  changeMembers,
  checkNewMember,
  demote,
  freeId,
  noteBegun,
  promote,
  type Reachable,
  remove,
  replace,
  setAddress,
} from './membership.ts';
export { recover, type RecoveryPlan, recoveryPlan } from './recovery.ts';
export type { ShardBirths, ShardRefusal } from './shard-changes.ts';
export type { SplitAt } from './shard-commands.ts';
export { middleKey } from './split-key.ts';
export {
  cancelImport,
  commitMerge,
  describeShard,
  type Imported,
  importShard,
  resumeShard,
  retireShard,
  sealShard,
  splitShard,
} from './shard-verbs.ts';
export type { ApplyResult } from './state-machine.ts';
export type { Handover } from './lead-keeper.ts';
export { AT_LEADER, type ReadTerms } from './reads.ts';
export { checkCall, NO_LIMIT, type CallState } from './call-state.ts';
export {
  CLIENT_BYTES_MAX,
  encodeDeleteRange,
  encodeBegun,
  encodeNode,
  encodeWrite,
  type CommandCondition,
  type CommandOperation,
  type CommandRequestId,
} from './command-codec.ts';
export { clampRange, engineKey, engineRange, isEmpty, scanOptions, successor, userKey, type EngineRange, type KeyRange } from './keys.ts';
