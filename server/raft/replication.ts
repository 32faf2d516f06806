/**
 * What the leader sends to one member, by what is known of it (progress.ts): appends from memory, appends of entries that the host reads
 * from storage first, or a snapshot of what is not in the log any more.
 */
import { assert } from '../../base/assert.ts';
import { entriesBytes, withoutData } from './entries.ts';
import { isActive } from './leader.ts';
import type { LogEntry } from './messages.ts';
import type { Progress } from './progress.ts';
import type { RaftState } from './state.ts';
import { witnessLimit } from './witness.ts';

/** Sends everybody what may be sent now. */
export function replicate(state: RaftState): void {
  const { witnesses } = state.configuration;
  for (const [to, progress] of state.progress) {
    if (to === state.id) continue;
    replicateTo(state, to, progress, witnesses.includes(to) ? witnessLimit(state) : state.log.lastIndex);
  }
}

function replicateTo(state: RaftState, to: number, progress: Progress, last: number): void {
  const { log, options } = state;
  if (progress.uninitialized || progress.next < log.firstIndex) {
    // As long as what is on its way may arrive, the snapshot may be spared.
    if (!progress.paused || progress.askAgain) sendSnapshot(state, to, progress);
    return;
  }
  while (!progress.paused) {
    const replicating = progress.state === 'replicate';
    if (progress.next > last) {
      if (replicating) break;
      sendAppend(state, to, progress, []);
    } else if (log.inMemory(progress.next)) {
      sendAppend(state, to, progress, log.slice(progress.next, last, options.appendBytesMax));
    } else if (replicating) {
      if (!progress.fetching) state.fetches.push({ member: to, from: progress.next, bytesMax: options.appendBytesMax });
      progress.fetching = true;
      break;
    } else {
      // Where the logs agree is found out without entries.
      sendAppend(state, to, progress, []);
    }
  }
  // A follower that has the entries, or may not get more now, still learns what is committed, and tells when something was lost.
  const { sentCommit, next, askAgain } = progress;
  if (progress.state !== 'replicate') return;
  if (askAgain || (sentCommit < log.committed && sentCommit < next - 1)) sendAppend(state, to, progress, []);
}

/** The host has read entries from storage. What has become out of date meanwhile is asked for again. */
export function onFetched(state: RaftState, member: number, entries: readonly LogEntry[]): void {
  const progress = state.progress.get(member);
  if (state.role !== 'leader' || progress === undefined || !progress.fetching) return;
  progress.fetching = false;
  const [first] = entries;
  const last = state.configuration.witnesses.includes(member) ? witnessLimit(state) : state.log.lastIndex;
  // The log may have been cut meanwhile, just before the second of them: the entry before the first is needed, too.
  const there = first !== undefined && first.index >= state.log.firstIndex && entries.at(-1)!.index <= last;
  const fits = there && first.index === progress.next;
  if (!fits || progress.paused || progress.state !== 'replicate') return;
  if (entries.every(({ index, term }) => state.log.term(index) === term)) sendAppend(state, member, progress, entries);
}

function sendAppend(state: RaftState, to: number, progress: Progress, entries: readonly LogEntry[]): void {
  const { id, term, log, configuration, messages } = state;
  const previousIndex = progress.next - 1;
  const previousTerm = log.term(previousIndex);
  assert(previousTerm !== undefined, 'the log has the entry before those that are sent');
  const sent = configuration.witnesses.includes(to) ? withoutData(entries) : entries;
  messages.push({
    type: 'append-request',
    from: id,
    to,
    term,
    previousIndex,
    previousTerm,
    entries: sent,
    commit: log.committed,
  });
  progress.sentCommit = log.committed;
  progress.sent(entries.at(-1)?.index, entriesBytes(sent), state.now);
}

/** As of what is applied: the host has that state, or a later one. */
function sendSnapshot(state: RaftState, to: number, progress: Progress): void {
  const { id, term, log, configuration, messages } = state;
  const index = log.applied;
  // Moving data to somebody who is not there would only take a place. Nothing applied: nothing to move.
  if (!isActive(state, to) || index === 0) return;
  messages.push({ type: 'snapshot-request', from: id, to, term, snapshot: { index, term: log.term(index)!, configuration } });
  progress.uninitialized = false;
  progress.sentSnapshot(index);
}
