/** The Raft core: pure. raft.ts is the place to start. */
export { Raft, type RaftOptions, type Role } from './raft.ts';
export { RaftLog, type InitialLog } from './log.ts';
export { Progress, type InflightLimits } from './progress.ts';
export { majority, quorumIndex, tally, type VoteResult } from './quorum.ts';
export { SeededRandom } from './random.ts';
export type {
  AppendRequest,
  AppendResponse,
  HardState,
  HeartbeatRequest,
  HeartbeatResponse,
  LogEntry,
  Message,
  Output,
  ReadState,
  StorageToken,
  VoteRequest,
  VoteResponse,
} from './messages.ts';
