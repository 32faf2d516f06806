/** Why a replica does not take something in, as errors, and why it stopped. What was refused has not been done: `applied: false`. Used by replica.ts and its parts. */
import { SparrowError } from '../../base/errors.ts';
import type { Refusal } from '../raft/index.ts';

export function shuttingDown(details: { applied?: false }): SparrowError {
  return new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', details);
}

export function diskFull(): SparrowError {
  return new SparrowError('exhausted', 'DISK_FULL', 'the disk that holds the log is full', { applied: false });
}

/** Until other members have given back what is lost (engine-repair.ts). */
export function damaged(): SparrowError {
  return new SparrowError('unavailable', 'REPAIRING', 'the data of this member is damaged; it is coming back from another one', {
    applied: false,
  });
}

/** As the engine tells it, of a write that has not reached it. */
export function noRoom(lacking: SparrowError | undefined): SparrowError | undefined {
  return lacking && new SparrowError('exhausted', lacking.code, lacking.message, { applied: false }, lacking);
}

/** What whoever waits for an outcome is told: nobody knows it. */
export function stoppedBy(cause: unknown): SparrowError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new SparrowError('unavailable', 'REPLICA_STOPPED', `the replica stopped: ${text}`, {}, cause);
}

/** By member `id` of group `shard`, which knows `leader` to lead; 0: nobody. */
export function notLeader(shard: number, id: number, leader: number): SparrowError {
  return leader === 0 || leader === id
    ? new SparrowError('unavailable', 'NO_LEADER', 'the group has no leader now', { shard, applied: false })
    : new SparrowError('rerouted', 'NOT_LEADER', `member ${leader} leads`, { shard, leader, applied: false });
}

/** What the core says of a proposal. */
export function refusedBy(reason: Refusal | undefined, shard: number, id: number, leader: number): SparrowError | undefined {
  switch (reason) {
    case undefined:
      return undefined;
    case 'not-leader':
      return notLeader(shard, id, leader);
    case 'transferring':
      return new SparrowError('unavailable', 'TRANSFERRING', 'the lead is being handed over', { applied: false });
    case 'uncommitted-bytes':
      return new SparrowError('exhausted', 'OVERLOADED', 'too many bytes of writes are not committed', { applied: false });
    case 'cannot-lead':
      return new SparrowError('invalid', 'NO_VOTER', 'that member has no vote, or no data: it cannot lead', { applied: false });
    case 'change-pending':
    case 'no-successor':
      return new SparrowError('unavailable', 'CHANGE_REFUSED', `the members cannot change now: ${reason}`, { reason, applied: false });
  }
}
