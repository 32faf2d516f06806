/**
 * How a replica comes to where it was: what a crash has left half done is finished, what the log has lost comes back from other members, and what is
 * committed and not in the engine is applied again.
 *
 *   a snapshot that is the engine, and not the log's begin yet -> a damaged engine replaced, damage in the log mended -> entries up to the commit index applied -> the core
 *
 * Called by replica.ts. Calls log-mending.ts, replica-store.ts, state-machine.ts and server/raft.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import type { HostedEngine } from '../../engine/index.ts';
import { type LogEntry, membersOf, Raft, votersOnly } from '../raft/index.ts';
import type { SnapshotBegin } from './group-directory.ts';
import type { GroupDamage, GroupLog, LogDamage } from './log/index.ts';
import { LogMending } from './log-mending.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import type { ReplicaStore } from './replica-store.ts';
import { firstBatch } from './shard-changes.ts';
import { StateMachine } from './state-machine.ts';

const APPEND_BYTES_MAX: number = 1024 * 1024;
const READ_BYTES_MAX: number = 4 * 1024 * 1024;
const INFLIGHT = { messages: 256, bytes: 16 * 1024 * 1024 };
/** The write budget bounds what is proposed; the core's own bound is beyond it. */
const UNCOMMITTED_BYTES_MIN = 64 * 1024 * 1024;

/** What a replica begins its life with. */
export interface Recovered {
  readonly machine: StateMachine;
  readonly raft: Raft;
  /** What the engine was found with; how many entries the log has beyond that; the bytes of those that were applied again. */
  readonly from: number;
  readonly entries: number;
  readonly bytes: number;
  /** Entries that came back from other members. */
  readonly mended: number;
  /** Met on the way, and not in its way: the engine is to be repaired. */
  readonly damage: SparrowError | undefined;
}

/** Throws `corrupt/LOG_MISMATCH`, `corrupt/CORRUPT_RAFT_LOG`. */
export async function recoverReplica(settings: ReplicaSettings, parts: ReplicaParts): Promise<Recovered> {
  await finishInstall(parts);
  for (;;) {
    await mendEngine(settings, parts);
    const watch = new DamageWatch(engineOf(parts));
    try {
      return { ...(await recover(settings, parts, watch)), damage: watch.damage };
    } catch (error) {
      const { store } = parts;
      if (error instanceof SparrowError && error.code === 'CORRUPT_STATE') watch.damage = error;
      if (watch.damage === undefined || store === undefined || othersOf(settings, watch.members).length === 0) throw error;
      // It goes on with what other members have.
      await store.giveUp(watch.damage, { what: watch.damage.message, members: watch.members, nodes: watch.nodes });
    } finally {
      watch.end();
    }
  }
}

/** Notes what an engine meets, and of which group it is as far as that could be read. */
class DamageWatch {
  damage: SparrowError | undefined;
  members: readonly number[] = [];
  nodes: Record<string, string> = {};
  readonly end: () => void;

  constructor(engine: HostedEngine) {
    this.end = engine.events.on('corruption', ({ code, message }) => (this.damage = new SparrowError('corrupt', code, message)));
  }

  knows({ configuration, book }: StateMachine): void {
    this.members = membersOf(configuration);
    this.nodes = Object.fromEntries([...book.nodes].map(([id, { peerAddress }]) => [id, peerAddress]));
  }
}

async function recover(settings: ReplicaSettings, parts: ReplicaParts, watch: DamageWatch): Promise<Omit<Recovered, 'damage'>> {
  const mended = await mendLog(settings, parts);
  const engine = engineOf(parts);
  await finishBirth(engine, settings, parts);
  const machine = new StateMachine({
    engine,
    log: parts.log,
    beginning: votersOnly(settings.voters),
    nodes: settings.nodes,
    descriptor: settings.descriptor,
    births: parts.births,
  });
  watch.knows(machine);
  const recovered = parts.log.contents();
  const applied = machine.applied;
  if (applied < recovered.compactedIndex || applied > recovered.lastIndex) {
    throw new SparrowError(
      'corrupt',
      'LOG_MISMATCH',
      `the engine has applied entry ${applied}, but the Raft log holds entries ${recovered.compactedIndex + 1} to ${recovered.lastIndex}`,
      { applied, first: recovered.compactedIndex + 1, last: recovered.lastIndex },
    );
  }
  const commit = Math.max(recovered.hardState.commit, applied);
  const entries: LogEntry[] = [];
  let replayedBytes = 0;
  for (let next = applied + 1; next <= recovered.lastIndex;) {
    for (const entry of await parts.log.read(next, recovered.lastIndex, READ_BYTES_MAX)) {
      if (entry.index <= commit) await machine.apply(entry);
      else entries.push({ ...entry, data: Uint8Array.from(entry.data) });
      if (entry.index <= commit) replayedBytes += entry.data.length;
      next = entry.index + 1;
    }
  }
  const raft = new Raft({
    id: settings.id,
    configuration: machine.configuration,
    electionTicks: settings.electionTicks,
    heartbeatTicks: settings.heartbeatTicks,
    sleepTicks: settings.sleepTicks,
    lease: settings.lease,
    seed: parts.random.u32(),
    appendBytesMax: APPEND_BYTES_MAX,
    inflight: INFLIGHT,
    uncommittedBytesMax: Math.max(UNCOMMITTED_BYTES_MIN, 2 * settings.writeBytesInFlightMax),
    keptBytesMax: settings.keptBytesMax,
    hardState: { ...recovered.hardState, commit },
    log: { ...recovered, entries },
    applied: commit,
  });
  return { machine, raft, from: applied, entries: recovered.lastIndex - applied, bytes: replayedBytes, mended };
}

/** A crash came between the engine that a snapshot became, and the log that begins behind it. */
async function finishInstall({ store, log }: ReplicaParts): Promise<void> {
  const { index, term } = store?.begin ?? { index: 0, term: 0 };
  const { compactedIndex } = log.contents();
  if (index <= compactedIndex || log.term(index) === term) return;
  // Of a shard that was split off nobody has voted in the term that its log begins with, nor in any before it.
  const { hardState } = log.contents();
  if (hardState.term < term) await log.append({ ...hardState, term, vote: 0 }, [], true);
  await log.restore(index, term);
}

/** The replica of a shard that was split off was made as of the entry before the split, and what makes it that shard is not in tables yet. */
async function finishBirth(engine: HostedEngine, { descriptor }: ReplicaSettings, { store }: ReplicaParts): Promise<void> {
  const begin = store?.begin.index ?? 0;
  if (descriptor === undefined || engine.sequence >= begin) return;
  const batch = firstBatch(engine, descriptor);
  if (batch !== undefined) await engine.write(batch, { sequence: begin });
}

/** Its own, or that of its store: a replica has one of them. */
function engineOf({ store, engine }: ReplicaParts): HostedEngine {
  const found = store?.engine ?? engine;
  assert(found !== undefined, 'a replica is given an engine, or a store that has one');
  return found;
}

/**
 * An engine that cannot be opened, or was found to be damaged before, is replaced by a snapshot of another member: of an entry that the log reaches back
 * to at least. A log that is damaged, too, is of no help: then it is to cover all that this member ever acknowledged.
 */
async function mendEngine(
  { group, id, voters, electionTicks }: ReplicaSettings,
  { store, log, nodeLog, host, onDamaged }: ReplicaParts,
): Promise<void> {
  if (store?.damage === undefined) return;
  const { damage, compactedIndex, lastIndex } = log.contents();
  const peers = othersOf({ id, voters }, store.damageNote?.members ?? []);
  if (damage?.endLost === true) throw damaged(damage, nodeLog.damage[0], peers);
  // Nobody else has what was here.
  if (peers.length === 0) throw store.damage;
  onDamaged?.(store.damage);
  const begin = await store.receive(
    { group, id, peers, host, retryTicks: electionTicks },
    damage === undefined ? compactedIndex : lastIndex,
  );
  await installBefore(begin, store, log);
}

/** Who else is in the group: by what the engine said, or else as it began. */
function othersOf({ id, voters }: Pick<ReplicaSettings, 'id' | 'voters'>, members: readonly number[]): number[] {
  return (members.length > 0 ? members : voters).filter((member) => member !== id);
}

/** What the log has lost comes back from other members, before anything else. A sole voter has nobody, and what may be missing at the end nobody knows. */
async function mendLog({ group, id, voters, electionTicks }: ReplicaSettings, parts: ReplicaParts): Promise<number> {
  const { log, nodeLog, store, host } = parts;
  const engine = engineOf(parts);
  const machine = new StateMachine({ engine, log, beginning: votersOnly(voters) });
  if (log.contents().damage !== undefined) dropApplied(log, engine.durableSequence);
  const { damage, lastIndex } = log.contents();
  if (damage === undefined) return 0;
  const peers = membersOf(machine.configuration).filter((member) => member !== id);
  if (damage.endLost || peers.length === 0) throw damaged(damage, nodeLog.damage[0], peers);
  const mending = { group, id, peers, host, retryTicks: electionTicks };
  const { outcome, entries } = await new LogMending(mending, log).run();
  if (outcome === 'filled') return entries;
  if (store === undefined) throw damaged(damage, nodeLog.damage[0], peers);
  // It covers all that this member ever acknowledged.
  await installBefore(await store.receive(mending, lastIndex), store, log);
  return entries;
}

/** Before a replica opens a snapshot takes the engine's place; each step durable before the next. */
async function installBefore({ index, term }: SnapshotBegin, store: ReplicaStore, log: GroupLog): Promise<void> {
  const { hardState } = log.contents();
  if (term > hardState.term) await log.append({ ...hardState, term, vote: 0 }, [], true);
  await store.install({ index, term });
  if (log.term(index) !== term) await log.restore(index, term);
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
function damaged({ missing, endLost }: GroupDamage, place: LogDamage | undefined, peers: readonly number[]): SparrowError {
  const entries = missing.map(({ from, to }) => `${from} to ${to}`).join(', ');
  const lost = [...(missing.length > 0 ? [`entries ${entries}`] : []), ...(endLost ? ['what came last'] : [])].join(' and ');
  const at = place === undefined ? '' : `: ${place.file}: ${place.what} (at byte ${place.offset})`;
  const where = place === undefined ? {} : { file: place.file, offset: place.offset };
  const next =
    peers.length === 0
      ? 'no other member has it: the way on is a backup'
      : 'what this member has promised to the others since, a vote perhaps, nobody can tell: it is to be replaced by a node of another id (sparrowkv cluster replace)';
  return new SparrowError('corrupt', 'CORRUPT_RAFT_LOG', `the log has lost ${lost}${at}; ${next}`, { ...where, lost });
}
