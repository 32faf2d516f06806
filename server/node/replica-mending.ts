/**
 * What a replica that opens has lost, and where that comes from.
 *
 *   the engine is damaged, or is older than the log   a snapshot of an entry that the log reaches back to (snapshot-mending.ts)
 *   entries are missing in the log                    exactly those (log-mending.ts); or, where nobody has them, a snapshot of the log's last entry at least
 *   the log's end is lost, or the log is older than   a barrier (end-mending.ts), then a snapshot of that at least; term and vote, engine and log are as of
 *   the engine                                        it, each durable before the next
 *
 * Until then this member says nothing in its group. A crash on the way leaves what was found, or what it has come to.
 *
 * Called by replica-opening.ts.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import type { HostedEngine } from '../../engine/index.ts';
import { type Configuration, membersOf, votersOnly } from '../raft/index.ts';
import { EndMending } from './end-mending.ts';
import { FIRST_SHARD } from '../shard/descriptor.ts';
import type { SnapshotBegin } from './group-directory.ts';
import type { GroupDamage, GroupLog, LogDamage } from './log/index.ts';
import { LogMending } from './log-mending.ts';
import type { MendingParts } from './mending.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import type { ReplicaStore } from './replica-store.ts';
import { StateMachine } from './state-machine.ts';

/** A replica's own engine, or that of its store: it has one of them. */
export function engineOf({ store, engine }: ReplicaParts): HostedEngine {
  const found = store?.engine ?? engine;
  assert(found !== undefined, 'a replica is given an engine, or a store that has one');
  return found;
}

/**
 * Who else is in the group: by what the engine said, or else as it began. Empty: nobody knows, and others will speak up. Undefined: there is nobody. Of shard 1 it
 * is the same, as without it the node does not start.
 */
export function othersOf({ group, id, voters }: ReplicaSettings, members: readonly number[]): number[] | undefined {
  const known = members.length > 0 ? members : voters;
  const others = known.filter((member) => member !== id);
  return others.length > 0 || (known.length === 0 && group !== FIRST_SHARD) ? others : undefined;
}

/**
 * An engine that cannot be opened, or was found to be damaged before, is replaced by a snapshot of another member: of an entry that the log reaches back
 * to at least. A log that is damaged, too, is of no help: then it is to cover all that this member ever acknowledged.
 */
export async function mendEngine(settings: ReplicaSettings, parts: ReplicaParts): Promise<void> {
  const { store, log, nodeLog, onDamaged } = parts;
  if (store?.damage === undefined) return;
  const { damage, compactedIndex, lastIndex } = log.contents();
  const peers = othersOf(settings, store.damageNote?.members ?? []);
  // Nobody else has what was here.
  if (peers === undefined) throw store.damage;
  const mending = mendingOf(settings, parts, peers);
  if (damage?.endLost === true) {
    const error = damaged(damage, nodeLog.damage[0], peers);
    // Of two members neither is a majority without the other one.
    if (peers.length === 1) throw error;
    onDamaged?.(error);
    return mendEnd(mending, parts, store);
  }
  onDamaged?.(store.damage);
  await installBefore(await store.receive(mending, damage === undefined ? compactedIndex : lastIndex), store, log);
}

/** What the log has lost comes back from other members, before anything else. Returns how many entries did. A sole voter has nobody. */
export async function mendLog(settings: ReplicaSettings, parts: ReplicaParts): Promise<number> {
  const { log, nodeLog, store, onDamaged } = parts;
  const engine = engineOf(parts);
  const { configuration, applied } = new StateMachine({ engine, log, beginning: votersOnly(settings.voters) });
  if (log.contents().damage !== undefined) dropApplied(log, engine.durableSequence);
  const { damage, lastIndex } = log.contents();
  // What an engine has, the log had before.
  const endLost = damage?.endLost === true || applied > lastIndex;
  if (damage === undefined && !endLost) return 0;
  const peers = othersOf(settings, membersOf(configuration));
  const error = damaged({ missing: damage?.missing ?? [], endLost }, nodeLog.damage[0], peers);
  if (peers === undefined || (endLost && (store === undefined || !isMajorityWithout(configuration, settings.id)))) {
    if (damage !== undefined) throw error;
    // Whoever called sees that log and engine do not fit.
    return 0;
  }
  onDamaged?.(error);
  const mending = mendingOf(settings, parts, peers);
  if (endLost) {
    await mendEnd(mending, parts, store!);
    return 0;
  }
  const { outcome, entries } = await new LogMending(mending, log).run();
  if (outcome === 'filled') return entries;
  if (store === undefined) throw error;
  // It covers all that this member ever acknowledged.
  await installBefore(await store.receive(mending, lastIndex), store, log);
  return entries;
}

function mendingOf({ group, id, electionTicks }: ReplicaSettings, { host, givenUp }: ReplicaParts, peers: readonly number[]): MendingParts {
  return { group, id, peers, host, retryTicks: electionTicks, givenUp };
}

/** Term and vote of the barrier are durable before the engine: with that in its place, a log that knows nothing of its loss is as good as whole. */
async function mendEnd(mending: MendingParts, { log, random }: ReplicaParts, store: ReplicaStore): Promise<void> {
  const barrier = await new EndMending(mending, random.u32()).run();
  const begin = await store.receive(mending, barrier.index);
  const { hardState } = log.contents();
  if (barrier.term >= hardState.term) await log.append({ ...hardState, term: barrier.term, vote: barrier.from }, [], true);
  await installBefore(begin, store, log);
  await log.endKnown();
}

/** Before a replica opens a snapshot takes the engine's place; each step durable before the next. */
async function installBefore({ index, term }: SnapshotBegin, store: ReplicaStore, log: GroupLog): Promise<void> {
  const { hardState } = log.contents();
  if (term > hardState.term) await log.append({ ...hardState, term, vote: 0 }, [], true);
  await store.install({ index, term });
  if (log.term(index) !== term) await log.restore(index, term);
}

/** Whether the others can commit something without this one. */
function isMajorityWithout({ voters, outgoing }: Configuration, id: number): boolean {
  return [voters, outgoing].every((ids) => ids.length === 0 || ids.filter((voter) => voter !== id).length > ids.length / 2);
}

/** Lost entries whose effect the engine has are not needed: the log goes up to the last one that is known before what is not applied. */
function dropApplied(log: GroupLog, applied: number): void {
  const { damage } = log.contents();
  const lost = damage?.missing.findLast(({ from }) => from <= applied);
  if (lost === undefined) return;
  for (let index = applied; index > lost.to; index--) if (log.term(index) !== undefined) return log.compact(index);
}

/**
 * A sole voter has nobody to fetch from what its log has lost. What came last may be a vote, and that nobody else needs to know: given again in the same
 * term, to another one, it could make a second leader.
 */
function damaged({ missing, endLost }: GroupDamage, place: LogDamage | undefined, peers: readonly number[] | undefined): SparrowError {
  const entries = missing.map(({ from, to }) => `${from} to ${to}`).join(', ');
  const lost = [...(missing.length > 0 ? [`entries ${entries}`] : []), ...(endLost ? ['what came last'] : [])].join(' and ');
  const at = place === undefined ? '' : `: ${place.file}: ${place.what} (at byte ${place.offset})`;
  const where = place === undefined ? {} : { file: place.file, offset: place.offset };
  const next =
    peers === undefined
      ? 'no other member has it: the way on is a backup'
      : endLost
        ? 'what this member has promised to the others since, a vote perhaps, only a majority of the voters without it can make up for: otherwise it is to be replaced by a node of another id (sparrowkv cluster replace)'
        : 'the other members have it';
  return new SparrowError('corrupt', 'CORRUPT_RAFT_LOG', `the log has lost ${lost}${at}; ${next}`, { ...where, lost });
}
