/**
 * How a replica comes to where it was: what a crash has left half done is finished, what was lost comes back from other members, and what is committed and
 * not in the engine is applied again.
 *
 *   a snapshot that is the engine, and not the log's begin yet -> a damaged engine replaced, damage in the log mended -> entries up to the commit index applied -> the core
 *
 * Called by replica.ts. Calls replica-mending.ts, replica-store.ts, state-machine.ts and server/raft.
 */
import { SparrowError } from '../../base/errors.ts';
import type { HostedEngine } from '../../engine/index.ts';
import { type LogEntry, membersOf, Raft, votersOnly } from '../raft/index.ts';
import { firstBatch } from './child-maker.ts';
import { engineOf, mendEngine, mendLog, othersOf } from './replica-mending.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import { StateMachine } from './state-machine.ts';

const APPEND_BYTES_MAX: number = 1024 * 1024;
const READ_BYTES_MAX: number = 4 * 1024 * 1024;
const INFLIGHT = { messages: 256, bytes: 16 * 1024 * 1024 };
/** The write budget bounds what is proposed; the core's own bound is beyond it. */
const UNCOMMITTED_BYTES_MIN = 64 * 1024 * 1024;

/** What recovery itself finds wrong with an engine: another one takes its place. */
const OF_THE_ENGINE: ReadonlySet<string> = new Set(['CORRUPT_STATE', 'ENGINE_OUTDATED']);

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

/** Where other members cannot help, throws `corrupt/LOG_MISMATCH`, `corrupt/ENGINE_OUTDATED`, `corrupt/CORRUPT_RAFT_LOG`, and what the engine throws. */
export async function recoverReplica(settings: ReplicaSettings, parts: ReplicaParts): Promise<Recovered> {
  await finishInstall(parts);
  for (;;) {
    await mendEngine(settings, parts);
    const watch = new DamageWatch(engineOf(parts));
    try {
      return { ...(await recover(settings, parts, watch)), damage: watch.damage };
    } catch (error) {
      const { store } = parts;
      if (error instanceof SparrowError && OF_THE_ENGINE.has(error.code)) watch.damage = error;
      if (watch.damage === undefined || store === undefined || othersOf(settings, watch.members) === undefined) throw error;
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
  // Entries do not tell who the members were before them: what an engine began with must be there, or more.
  const begun = machine.configuration.voters.length > 0 || recovered.lastIndex === 0;
  if (applied < recovered.compactedIndex || applied > recovered.lastIndex || !begun) {
    throw new SparrowError(
      'corrupt',
      applied > recovered.lastIndex ? 'LOG_MISMATCH' : 'ENGINE_OUTDATED',
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
    promised: { index: recovered.retiredIndex, term: recovered.retiredTerm },
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
  // One after the other on the disk, and waited for together: a crash in between is one before the second.
  const termKept = hardState.term < term ? log.append({ ...hardState, term, vote: 0 }, [], true) : undefined;
  await Promise.all([termKept, log.restore(index, term)]);
}

/** The replica of a shard that was split off was made as of the entry before the split, and what makes it that shard is not in tables yet. */
async function finishBirth(engine: HostedEngine, { descriptor }: ReplicaSettings, { store }: ReplicaParts): Promise<void> {
  const begin = store?.begin.index ?? 0;
  if (descriptor === undefined || engine.sequence >= begin) return;
  const batch = firstBatch(engine, descriptor);
  if (batch !== undefined) await engine.write(batch, { sequence: begin });
}
