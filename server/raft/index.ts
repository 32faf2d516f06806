/** The Raft core: pure. raft.ts is the place to start, docs/raft.md the guide. */
export { Raft, type Proposed } from './raft.ts';
export type { RaftOptions, Role } from './state.ts';
export {
  type Configuration,
  type ConfigurationChange,
  canLead,
  changed,
  isJoint,
  isVoter,
  type MemberChange,
  membersOf,
  votersOnly,
} from './configuration.ts';
export { decodeConfiguration, decodeConfigurationChange, encodeConfiguration, encodeConfigurationChange } from './configuration-codec.ts';
export { Inflight, type InflightLimits } from './inflight.ts';
export type { LeaseOptions } from './lease.ts';
export { RaftLog, type InitialLog } from './log.ts';
export { Progress, type ProgressState } from './progress.ts';
export { hasQuorum, jointQuorumIndex, jointTally, majority, quorumIndex, tally, type VoteResult, type VoterSets } from './quorum.ts';
export { SeededRandom } from './random.ts';
export { TermRuns } from './term-runs.ts';
export type {
  AppendRequest,
  AppendResponse,
  EntryFetch,
  HardState,
  HeartbeatRequest,
  HeartbeatResponse,
  LogEntry,
  Message,
  Output,
  ReadRequest,
  ReadResponse,
  ReadState,
  Refusal,
  Snapshot,
  SnapshotRequest,
  StorageToken,
  TimeoutNow,
  VoteRequest,
  VoteResponse,
} from './messages.ts';
