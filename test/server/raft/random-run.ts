/**
 * One random life of a group, from a seed: members, options, then steps that run, store, apply, deliver, lose, repeat, reorder, crash, cut
 * off, change the configuration, compact, hand over, read; then the faults end, and the group must get on. cluster.ts checks it all the way.
 */
import { type Configuration, type ConfigurationChange, type Raft, SeededRandom, votersOnly } from '../../../server/raft/index.ts';
import { Cluster, configurationText, type Sent } from './cluster.ts';

export interface RunCounts {
  applied: number;
  changes: number;
  snapshots: number;
  transfers: number;
  reads: number;
  crashes: number;
  forced: number;
}

const STEPS = 600;
const MEMBERS_MAX = 7;

/** Throws what a check finds, with the steps before it. */
export function randomRun(seed: number): RunCounts {
  const run = new RandomRun(seed);
  try {
    run.go();
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}\n  after ${run.done.slice(-40).join('; ')}`, { cause: error });
  }
  return run.counts;
}

class RandomRun {
  readonly done: string[] = [];
  readonly counts: RunCounts = { applied: 0, changes: 0, snapshots: 0, transfers: 0, reads: 0, crashes: 0, forced: 0 };
  readonly #random: SeededRandom;
  readonly #cluster: Cluster;
  /** Copies of messages that come again later. */
  #late: Sent[] = [];
  readonly #leased: boolean;
  /** Leaders change all the time. */
  readonly #restless: boolean;
  #nextId: number;
  readonly #witnesses: Set<number> = new Set();
  /** Their disks are far behind. */
  #slowDisks: Set<number> = new Set();

  constructor(seed: number) {
    const random = new SeededRandom(seed);
    this.#random = random;
    const count = 3 + random.below(3);
    const ids = Array.from({ length: count }, (_, i) => i + 1);
    this.#nextId = count + 1;
    this.#leased = random.below(3) === 0;
    this.#restless = random.below(3) === 0;
    this.#cluster = new Cluster(this.#configuration(ids), ids, {
      appendBytesMax: random.below(8),
      inflight: { messages: 1 + random.below(4), bytes: 4 + random.below(30) },
      uncommittedBytesMax: 10 + random.below(100),
      keptBytesMax: random.below(20),
      electionTicks: 5 + random.below(10),
      sleepTicks: random.below(3) === 0 ? 3 : Infinity,
      lease: this.#leased ? { durationMs: 20 + random.below(60), pauseMarginMs: 5 } : undefined,
    });
  }

  #configuration(ids: readonly number[]): Configuration {
    const dice = this.#random.below(4);
    if (dice === 0) {
      const witness = this.#pick(ids);
      this.#witnesses.add(witness);
      return { ...votersOnly(ids), witnesses: [witness] };
    }
    if (dice === 1 && ids.length > 3) return { ...votersOnly(ids.slice(1)), learners: [ids[0]!] };
    return votersOnly(ids);
  }

  go(): void {
    for (let step = 0; step < STEPS; step++) this.#step(step);
    this.#heal();
  }

  #step(step: number): void {
    const cluster = this.#cluster;
    const random = this.#random;
    const someone = this.#someone();
    const { raft } = cluster.member(someone);
    const dice = random.below(200);
    if (this.#leased) cluster.advanceClock(random.below(4));
    if (this.#restless && random.below(12) === 0) return this.#unrest();
    if (dice < 30) this.#do(`run ${someone}`, () => cluster.run(someone));
    else if (dice < 50) this.#do(`store ${someone}`, () => cluster.store(someone, random.below(4) === 0 ? 1 : Infinity));
    else if (dice < 80) this.#deliver();
    else if (dice < 120) this.#round();
    else if (dice < 124) this.#lose();
    else if (dice < 126) this.#do(`cut ${someone}`, () => cluster.cut.add(someone));
    else if (dice < 132) this.#do(`join ${someone}`, () => cluster.cut.delete(someone));
    else if (dice < 134) this.#crash(someone);
    else if (dice < 139) this.#tick(someone, 1 + random.below(15));
    else if (dice < 150) this.#everybodyTicks();
    else if (dice < 152) this.#do(`hold ${someone}`, () => (cluster.member(someone).held = true));
    else if (dice < 157) this.#apply(someone);
    else if (dice < 160) this.#do(`read ${this.#leader()}`, () => this.#read(this.#leader()));
    else if (dice < 164) this.#do(`ask ${someone}`, () => this.#read(someone));
    else if (dice < 167) this.#transfer();
    else if (dice < 176) this.#change();
    else if (dice < 180) this.#compact(someone);
    else if (dice < 181) this.#do(`forget ${someone}`, () => raft.forgetLeader());
    else this.#do(`propose ${this.#leader()}`, () => cluster.member(this.#leader()).raft.propose([Buffer.from(`${step}`)]));
  }

  /** A turn of everybody whose disk or network is not slow at the moment. */
  #round(): void {
    this.#do('round', () => {
      for (const id of this.#cluster.members.keys()) {
        if (this.#random.below(8) > 0) this.#cluster.run(id);
        if (this.#random.below(8) > (this.#slowDisks.has(id) ? 6 : 0)) this.#cluster.store(id, this.#slowDisks.has(id) ? 1 : Infinity);
      }
      const slow = this.#someone();
      this.#cluster.deliver(({ message }) => message.to !== slow);
    });
  }

  #deliver(): void {
    const { network } = this.#cluster;
    if (network.length === 0) return;
    // Mostly in order between two members, sometimes any.
    const any = this.#random.below(6) === 0;
    const chosen = any ? this.#pick(network) : network[this.#random.below(Math.min(4, network.length))]!;
    const { from, to } = chosen.message;
    if (this.#random.below(8) === 0) this.#late.push(chosen);
    if (any) this.#do(`deliver one ${from} ${to}`, () => this.#cluster.deliver((sent) => sent === chosen));
    else this.#do(`deliver ${from} ${to}`, () => this.#cluster.deliver(({ message }) => message.from === from && message.to === to));
    if (this.#late.length > 0 && this.#random.below(4) === 0) {
      const again = this.#pick(this.#late);
      this.#late = this.#late.filter((sent) => sent !== again);
      this.#do(`deliver again ${again.message.type} ${again.message.from} ${again.message.to}`, () => this.#cluster.deliverOne(again));
    }
  }

  #lose(): void {
    const from = this.#someone();
    const to = this.#someone();
    this.#do(`drop ${from} ${to}`, () => this.#cluster.drop(({ message }) => message.from === from && message.to === to));
    if (this.#random.below(3) === 0) this.#cluster.member(from).raft.unreachable(to);
  }

  /** Everybody forgets who leads, and one or two ask for votes, while disks and members fail. */
  #unrest(): void {
    if (this.#leased) this.#cluster.advanceClock(this.#random.below(100));
    const rivals = [this.#someone(), this.#someone()];
    this.#slowDisks = new Set(this.#random.below(2) === 0 ? [this.#someone(), this.#someone()] : []);
    this.#do(`unrest ${rivals.join(' ')}`, () => {
      for (const { raft } of this.#cluster.members.values()) if (this.#random.below(4) > 0) raft.forgetLeader();
      for (const id of rivals) this.#cluster.member(id).raft.campaign();
    });
    for (let turn = this.#random.below(8); turn > 0; turn--) {
      this.#round();
      if (this.#random.below(4) === 0) this.#crash(this.#unfinished());
      if (this.#random.below(6) === 0) for (const id of rivals) this.#cluster.member(id).raft.campaign();
    }
  }

  /** Somebody whose disk has something to do, if there is one. */
  #unfinished(): number {
    const unfinished = [...this.#cluster.members].filter(([, { storing }]) => storing.length > 0).map(([id]) => id);
    return unfinished.length > 0 ? this.#pick(unfinished) : this.#someone();
  }

  #crash(id: number): void {
    this.counts.crashes++;
    this.#do(`crash ${id}`, () => this.#cluster.crash(id));
  }

  #tick(id: number, times: number): void {
    if (this.#leased) this.#cluster.advanceClock(times);
    this.#do(`tick ${id} ${times}`, () => {
      for (let i = 0; i < times; i++) this.#cluster.member(id).raft.tick();
    });
  }

  #everybodyTicks(): void {
    for (const id of this.#cluster.members.keys()) this.#tick(id, 1);
  }

  #apply(id: number): void {
    const all = this.#random.below(2) === 0;
    this.#do(`apply ${id}${all ? '' : ' 1'}`, () => {
      if (all) this.#cluster.member(id).held = false;
      this.#cluster.apply(id, all ? Infinity : 1);
    });
  }

  #read(id: number): void {
    if (this.#cluster.read(id, true) !== undefined) this.counts.reads++;
  }

  #transfer(): void {
    const from = this.#leader();
    const to = this.#someone();
    this.#do(`transfer ${from} ${to}`, () => {
      if (this.#cluster.member(from).raft.transferLeadership(to) === undefined && from !== to) this.counts.transfers++;
    });
  }

  #compact(id: number): void {
    const { state } = this.#cluster.member(id);
    this.#do(`compact ${id} ${state.index}`, () => this.#cluster.compact(id, state.index));
  }

  #change(): void {
    const leader = this.#leader();
    const { raft } = this.#cluster.member(leader);
    const change = this.#randomChange(raft.configuration);
    this.#do(`change ${leader} ${JSON.stringify(change)}`, () => {
      try {
        if (raft.proposeChange(change).index === undefined) return;
        this.counts.changes++;
        for (const { id, witness } of 'members' in change ? change.members : []) {
          if (witness === true) this.#witnesses.add(id);
          if (!this.#cluster.members.has(id)) this.#cluster.start(id);
        }
      } catch (error) {
        // Most random changes make no sense.
        if ((error as { code?: string }).code !== 'CONFIGURATION_CHANGE') throw error;
      }
    });
  }

  /** Somebody; not one who was a witness and is none: it has no data. */
  #candidate(witnesses: readonly number[]): number {
    const id = this.#someone();
    return this.#witnesses.has(id) && !witnesses.includes(id) ? this.#candidate(witnesses) : id;
  }

  #randomChange({ outgoing, learners, witnesses }: Configuration): ConfigurationChange {
    const random = this.#random;
    if (outgoing.length > 0 && random.below(2) === 0) return { type: 'leave-joint' };
    const one = (): { type: 'make-voter' | 'make-learner' | 'remove'; id: number; witness?: boolean } => {
      const fresh = this.#nextId <= MEMBERS_MAX && random.below(2) === 0;
      if (fresh)
        return {
          type: random.below(2) === 0 ? 'make-voter' : 'make-learner',
          id: this.#nextId++,
          witness: witnesses.length === 0 && random.below(4) === 0,
        };
      if (learners.length > 0 && random.below(2) === 0)
        return { type: random.below(3) === 0 ? 'remove' : 'make-voter', id: this.#pick(learners) };
      return { type: 'make-learner', id: this.#candidate(witnesses) };
    };
    if (random.below(2) === 0) return { type: 'simple', members: [one()] };
    const members = [one(), one()].filter(({ id }, i, all) => all.findIndex((other) => other.id === id) === i);
    return { type: 'enter-joint', members, autoLeave: random.below(3) > 0 };
  }

  /** No more faults: somebody leads, and what is proposed is applied by every voter with data. */
  #heal(): void {
    const cluster = this.#cluster;
    cluster.cut.clear();
    for (const member of cluster.members.values()) member.held = false;
    const before = cluster.applied;
    this.#getOn();
    if (this.#witnessIsAhead()) {
      // Two failures too many: the voter with the data lost its vote and its leadership. An operator helps.
      this.counts.forced++;
      this.#force();
      this.#getOn();
    }
    cluster.member(this.#leader()).raft.propose([Buffer.from('last')]);
    cluster.settle();
    const { raft } = cluster.member(this.#leader());
    if (raft.role !== 'leader') throw new Error(`nobody leads after the faults\n  ${this.#states().join('\n  ')}`);
    if (cluster.applied <= before) throw new Error(`nothing is applied after the faults\n  ${this.#states().join('\n  ')}`);
    for (const id of [...raft.configuration.voters, ...raft.configuration.learners]) {
      const { state } = cluster.member(id);
      if (state.index < raft.log.lastIndex) throw new Error(`${id} has applied ${state.index} of ${raft.log.lastIndex} after the faults`);
    }
    this.counts.applied = cluster.applied;
    this.counts.snapshots = [...cluster.members.values()].reduce((sum, { received }) => sum + received.size, 0);
  }

  #getOn(): void {
    const cluster = this.#cluster;
    for (let round = 0; round < 80; round++) {
      if (this.#leased) cluster.advanceClock(10);
      for (const id of cluster.members.keys()) cluster.apply(id);
      // Whoever was lost sight of is woken, as a host does that loses a connection.
      for (const { raft } of cluster.members.values()) {
        if (round % 20 === 0) raft.wake();
        raft.tick();
      }
      cluster.settle();
    }
  }

  /** Nobody leads, and none of the voters with data has what a witness has. */
  #witnessIsAhead(): boolean {
    const best = this.#longestLog();
    const { voters, witnesses } = best.configuration;
    const members = voters.map((id) => this.#cluster.member(id).raft);
    if (members.some(({ role }) => role === 'leader')) return false;
    return members.some(
      ({ id, log }) =>
        witnesses.includes(id) &&
        isLonger(
          log,
          members.filter((other) => !witnesses.includes(other.id)).map((other) => other.log),
        ),
    );
  }

  #force(): void {
    const { id, configuration } = this.#longestLog();
    this.#cluster.member(id).raft.forceConfiguration([...new Set([id, ...configuration.voters])]);
  }

  /** Of those with data. */
  #longestLog(): Raft {
    const all = [...this.#cluster.members.values()]
      .map(({ raft }) => raft)
      .filter(({ id, configuration }) => !configuration.witnesses.includes(id));
    return all.find(({ log }) => !all.some((other) => isLonger(other.log, [log])))!;
  }

  /** Who leads the newest term, or anybody. */
  #leader(): number {
    let leader = 0;
    let term = -1;
    for (const [id, { raft }] of this.#cluster.members) {
      if (raft.role === 'leader' && raft.term > term) [leader, term] = [id, raft.term];
    }
    return leader || this.#cluster.members.keys().next().value!;
  }

  #states(): string[] {
    return [...this.#cluster.members].map(
      ([id, { raft, state }]) =>
        `${id}: ${raft.role} term ${raft.term} last ${raft.log.lastIndex}/${raft.log.term(raft.log.lastIndex)} committed ${raft.log.committed} applied ${state.index} ${configurationText(raft.configuration)}${raft.asleep ? ' asleep' : ''}`,
    );
  }

  #someone(): number {
    return this.#pick([...this.#cluster.members.keys()]);
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)]!;
  }

  #do(what: string, act: () => unknown): void {
    this.done.push(what);
    act();
  }
}

/** Whether a log wins elections against all of the others. */
function isLonger(log: Raft['log'], others: readonly Raft['log'][]): boolean {
  const term = (of: Raft['log']): number => of.term(of.lastIndex)!;
  return others.every((other) => term(log) > term(other) || (term(log) === term(other) && log.lastIndex > other.lastIndex));
}
