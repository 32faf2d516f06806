/**
 * A group of pure Raft members with hosts that are models: disks that lose what is not synced, a network that is a list, state machines
 * that are a hash. After every output it checks what Raft promises:
 *
 *   election safety       one leader a term
 *   log matching          the same entry wherever index and term are the same
 *   leader completeness   whoever comes to lead has everything that was applied anywhere
 *   state machine safety  the same entry applied at each index everywhere, once, in order, when it is durable; the same configuration after it
 *   reads                 at an index that covers what was applied anywhere when the read was asked for
 *   progress              next > match; what a leader believes to match is on that member's disk
 *
 * ScriptCluster lets a script drive it, random.test.ts a seed.
 */
import {
  changed,
  type Configuration,
  type EntryFetch,
  type HardState,
  type LogEntry,
  membersOf,
  type Message,
  type Output,
  Raft,
  type RaftOptions,
  type Snapshot,
  votersOnly,
} from '../../../server/raft/index.ts';

/** What a state machine holds: a hash of everything applied. */
interface State {
  index: number;
  hash: number;
  configuration: Configuration;
}

interface Disk {
  hardState: HardState;
  compactedIndex: number;
  compactedTerm: number;
  /** After compactedIndex. */
  log: LogEntry[];
  state: State;
}

export interface Member {
  raft: Raft;
  disk: Disk;
  /** Written without a sync: a crash loses it. */
  unsynced: HardState | undefined;
  /** Outputs that the disk has not finished. */
  storing: { output: Output; snapshot: State | undefined }[];
  /** Entries that it asked its disk for. */
  fetches: EntryFetch[];
  state: State;
  /** Committed entries that are not applied. */
  applying: LogEntry[];
  /** It applies nothing by itself. */
  held: boolean;
  /** States that came with snapshots. */
  received: Map<number, State>;
  /** What was applied anywhere when each read was asked for. */
  reads: Map<number, number>;
  led: number;
}

/** A message on its way; a snapshot with its data. */
export interface Sent {
  message: Message;
  state: State | undefined;
}

export type ClusterOptions = Pick<RaftOptions, 'appendBytesMax' | 'inflight' | 'uncommittedBytesMax' | 'keptBytesMax'> &
  Partial<Pick<RaftOptions, 'electionTicks' | 'heartbeatTicks' | 'sleepTicks' | 'lease'>>;

export class Cluster {
  readonly members: Map<number, Member> = new Map();
  network: Sent[] = [];
  readonly cut: Set<number> = new Set();
  nowMs = 0;
  /** The last index applied anywhere. */
  applied = 0;
  /** Told what happens. */
  say: (line: () => string) => void = () => undefined;
  /** Off once a majority was lost and overruled. */
  checkCompleteness = true;
  readonly #options: ClusterOptions;
  /** What was applied at each index: a text without data, the data, and the configuration and the hash after it. */
  readonly #history: { text: string; data: string | undefined; term: number; configuration: string; hash: number }[] = [];
  readonly #entries: Map<string, string> = new Map();
  readonly #leaders: Map<number, number> = new Map();
  #crashes = 0;

  constructor(configuration: Configuration, ids: readonly number[], options: ClusterOptions) {
    this.#options = options;
    for (const id of ids) this.start(id, configuration);
  }

  /** A member with nothing on its disk. */
  start(id: number, configuration: Configuration = votersOnly([])): void {
    const state = { index: 0, hash: 0, configuration };
    const disk: Disk = { hardState: { term: 0, vote: 0, commit: 0 }, compactedIndex: 0, compactedTerm: 0, log: [], state };
    this.members.set(id, this.#opened(id, disk));
  }

  member(id: number): Member {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  /** It loses what its disk has not finished, and starts again. */
  crash(id: number): void {
    this.members.set(id, this.#opened(id, this.member(id).disk, id + 1000 * ++this.#crashes));
  }

  #opened(id: number, disk: Disk, seed: number = id): Member {
    const { hardState, compactedIndex, compactedTerm, log, state } = disk;
    const lastIndex = compactedIndex + log.length;
    const terms = log.filter((entry, i) => entry.term !== (log[i - 1]?.term ?? -1)).map(({ index, term }) => ({ index, term }));
    const raft = new Raft({
      electionTicks: 10,
      heartbeatTicks: 1,
      ...this.#options,
      id,
      configuration: state.configuration,
      seed,
      hardState: { ...hardState, commit: Math.min(hardState.commit, lastIndex) },
      // Older entries are in storage alone.
      log: { compactedIndex, compactedTerm, lastIndex, terms, entries: log.filter(({ index }) => index > state.index) },
      applied: state.index,
    });
    raft.advanceClock(this.nowMs);
    return {
      raft,
      disk,
      unsynced: undefined,
      storing: [],
      fetches: [],
      state,
      applying: [],
      held: false,
      received: new Map(),
      reads: new Map(),
      led: 0,
    };
  }

  /** `anywhere`: a follower asks the leader. */
  read(id: number, anywhere = false): number | undefined {
    const member = this.member(id);
    const read = member.raft.requestRead(anywhere);
    if (read !== undefined) member.reads.set(read, this.applied);
    return read;
  }

  /** Its last word, then it is not there any more. */
  abdicate(id: number): void {
    const member = this.member(id);
    const message = member.raft.abdicate();
    if (message !== undefined) this.#send(member, message);
    this.cut.add(id);
  }

  advanceClock(ms: number): void {
    this.nowMs += ms;
    for (const { raft } of this.members.values()) raft.advanceClock(this.nowMs);
  }

  /** Takes a member's output. Returns whether there was anything. */
  run(id: number): boolean {
    const member = this.member(id);
    const output = member.raft.output();
    for (const message of output.messages) this.#send(member, message);
    member.fetches.push(...output.fetches);
    const stores = output.hardState !== undefined || output.messagesAfterSync.length > 0;
    if (stores) {
      const snapshot = output.snapshot && member.received.get(output.snapshot.index);
      if (output.snapshot !== undefined && snapshot === undefined) throw new Error(`${id}: installs a snapshot that did not arrive`);
      member.storing.push({ output, snapshot });
      this.say(() => `${id}: stores${storedText(output)}`);
    }
    for (const { read, index } of output.reads) {
      this.say(() => `${id}: read ${read} may be served at ${index}`);
      const floor = member.reads.get(read)!;
      if (index < floor)
        throw new Error(`${id}: read ${read} is stale: at ${index}, when ${floor} had been applied before it was asked for`);
    }
    for (const read of output.lostReads) this.say(() => `${id}: read ${read} is lost`);
    member.applying.push(...output.committed);
    this.#check(id, member);
    if (!member.held) this.apply(id);
    return stores || output.messages.length > 0 || output.committed.length > 0 || output.fetches.length > 0;
  }

  /** Its disk finishes its oldest outputs; what waited for that leaves. */
  store(id: number, count: number = Infinity): boolean {
    const member = this.member(id);
    const { disk, raft } = member;
    const storing = member.storing.splice(0, count);
    for (const { output, snapshot } of storing) {
      if (snapshot !== undefined) {
        disk.compactedIndex = snapshot.index;
        disk.compactedTerm = output.snapshot!.term;
        disk.log = [];
        disk.state = member.state = snapshot;
        member.applying = [];
      }
      member.unsynced = output.hardState ?? member.unsynced;
      if (output.mustSync && member.unsynced !== undefined) disk.hardState = member.unsynced;
      if (output.entries.length > 0) disk.log.length = output.entries[0]!.index - 1 - disk.compactedIndex;
      for (const entry of output.entries) {
        disk.log.push(entry);
        this.#matches(entry, id);
      }
      raft.persisted(output.token);
      for (const message of output.messagesAfterSync) {
        if (message.to === id) raft.step(message);
        else this.#send(member, message);
      }
    }
    const fetches = member.fetches.splice(0);
    for (const { member: to, from, bytesMax } of fetches) {
      this.say(() => `${id}: reads from ${from} on for ${to}`);
      raft.fetched(to, from > disk.compactedIndex ? fetched(disk, from, bytesMax) : []);
    }
    return storing.length > 0 || fetches.length > 0;
  }

  /** What waits for its disk is in its system's cache. */
  receive(id: number): void {
    const member = this.member(id);
    for (const { output } of member.storing) for (const message of member.raft.written(output)) this.#send(member, message);
    const { receivedIndex } = member.raft;
    if (receivedIndex > 0) this.say(() => `${id}: majorities have received up to ${receivedIndex}`);
  }

  /** Its state machine applies what is committed. */
  apply(id: number, count: number = Infinity): void {
    const member = this.member(id);
    const entries = member.applying.splice(0, count);
    if (entries.length === 0) return;
    this.say(() => `${id}: applies${entriesText(entries)}`);
    for (const entry of entries) this.#applyEntry(id, member, entry);
    member.raft.applied(member.state.index);
    // A snapshot that is being installed is ahead of what is applied.
    if (member.raft.log.applied !== member.state.index) return;
    const expected = JSON.stringify(member.state.configuration);
    if (JSON.stringify(member.raft.configuration) !== expected) {
      throw new Error(`${id}: has the configuration ${JSON.stringify(member.raft.configuration)} where ${expected} was applied`);
    }
  }

  /** What is applied becomes durable, and the log up to `index` is removed. */
  compact(id: number, index: number): void {
    const { raft, disk, state } = this.member(id);
    disk.state = state;
    const to = Math.min(index, state.index);
    if (to <= disk.compactedIndex) return;
    disk.compactedTerm = disk.log[to - disk.compactedIndex - 1]!.term;
    disk.log.splice(0, to - disk.compactedIndex);
    disk.compactedIndex = to;
    raft.compact(to);
  }

  /** Messages arrive: those that `which` chooses, in order. */
  deliver(which: (sent: Sent) => boolean): boolean {
    const now = this.network.filter(which);
    this.network = this.network.filter((sent) => !which(sent));
    for (const sent of now) this.deliverOne(sent);
    return now.length > 0;
  }

  deliverOne({ message, state }: Sent): void {
    const member = this.members.get(message.to);
    if (member === undefined) return;
    this.say(() => messageText(message));
    if (message.type === 'snapshot-request') {
      member.received.set(message.snapshot.index, state!);
      this.members.get(message.from)?.raft.snapshotReported(message.to, true);
    }
    member.raft.step(message);
  }

  /** Messages are lost. The sender hears of a snapshot that did not arrive. */
  drop(which: (sent: Sent) => boolean): void {
    const lost = this.network.filter(which);
    this.network = this.network.filter((sent) => !which(sent));
    for (const { message } of lost) this.#lost(message);
  }

  /** Runs, stores and delivers until nothing happens. */
  settle(): void {
    for (let round = 0; round < 300; round++) {
      let busy = false;
      for (const id of this.members.keys()) {
        busy = this.run(id) || busy;
        busy = this.store(id) || busy;
      }
      busy = this.deliver(() => true) || busy;
      if (!busy) return;
    }
    throw new Error('the group does not settle');
  }

  #send(member: Member, message: Message): void {
    Object.freeze(message);
    if (this.cut.has(message.from) || this.cut.has(message.to)) return this.#lost(message);
    if (message.type !== 'snapshot-request') {
      this.network.push({ message, state: undefined });
      return;
    }
    // The host makes the snapshot when it can: of the state that it has then.
    const snapshot: Snapshot = member.raft.snapshot();
    this.network.push({ message: { ...message, snapshot }, state: member.state });
  }

  #lost(message: Message): void {
    if (message.type === 'snapshot-request') this.members.get(message.from)?.raft.snapshotReported(message.to, false);
  }

  #applyEntry(id: number, member: Member, entry: LogEntry): void {
    const { state, disk } = member;
    if (entry.index !== state.index + 1) throw new Error(`${id} applies ${entry.index} after ${state.index}`);
    if (disk.log[entry.index - disk.compactedIndex - 1]?.term !== entry.term)
      throw new Error(`${id} applies ${entry.index} before it is stored`);
    const { witnesses } = state.configuration;
    if (entry.withheldBytes !== undefined && membersOf(state.configuration).includes(id) && !witnesses.includes(id)) {
      throw new Error(`${id} has no data of ${entry.index}`);
    }
    const text = metadataText(entry);
    const { change } = entry;
    const configuration = change === undefined ? state.configuration : changed(state.configuration, change);
    const hash = (Math.imul(state.hash, 31) + text.length * 7 + entry.term + entry.index) | 0;
    member.state = { index: entry.index, hash, configuration };
    const data = entry.withheldBytes === undefined ? Buffer.from(entry.data).toString() : undefined;
    const before = this.#history[entry.index];
    if (before === undefined) {
      this.#history[entry.index] = { text, data, term: entry.term, configuration: JSON.stringify(configuration), hash };
      this.applied = Math.max(this.applied, entry.index);
      return;
    }
    if (before.text !== text || (data ?? before.data) !== (before.data ?? data)) {
      throw new Error(`${id} applies ${text}:${data}, but ${before.text}:${before.data} was applied there`);
    }
    before.data ??= data;
    if (before.hash !== hash) throw new Error(`${id} has another state at ${entry.index}`);
    if (before.configuration !== JSON.stringify(configuration)) throw new Error(`${id} has another configuration at ${entry.index}`);
  }

  #matches(entry: LogEntry, id: number): void {
    const key = `${entry.index}/${entry.term}`;
    const text = metadataText(entry);
    const before = this.#entries.get(key) ?? text;
    if (before !== text) throw new Error(`${id} stores ${text} where ${before} is`);
    this.#entries.set(key, text);
  }

  #check(id: number, member: Member): void {
    const { raft } = member;
    if (raft.role !== 'leader') return;
    const leader = this.#leaders.get(raft.term) ?? id;
    if (leader !== id) throw new Error(`${leader} and ${id} both lead term ${raft.term}`);
    this.#leaders.set(raft.term, id);
    if (member.led !== raft.term) {
      member.led = raft.term;
      if (this.checkCompleteness) this.#complete(id, raft);
    }
    const newest = [...this.members.values()].every((other) => other.raft.term <= raft.term);
    for (const [other, { disk }] of this.members) {
      const progress = raft.progress(other);
      if (progress === undefined) continue;
      const { match, next } = progress;
      if (match >= next) throw new Error(`${id}: next ${next} is not above match ${match} for ${other}`);
      const term = raft.log.term(match);
      const stored = match <= disk.compactedIndex ? term : disk.log[match - disk.compactedIndex - 1]?.term;
      if (newest && term !== undefined && stored !== term)
        throw new Error(`${id} believes that ${other} has ${match}/${term}, it has ${stored}`);
    }
  }

  /** Whoever comes to lead a term that is the newest has everything that was applied. */
  #complete(id: number, raft: Raft): void {
    for (let index = Math.max(1, raft.log.firstIndex); index <= this.applied; index++) {
      const { term, text } = this.#history[index]!;
      if (term <= raft.term && raft.log.term(index) !== term) throw new Error(`${id} leads term ${raft.term} without ${text}`);
    }
  }
}

function fetched({ log, compactedIndex }: Disk, from: number, bytesMax: number): LogEntry[] {
  const entries: LogEntry[] = [];
  let bytes = 0;
  for (const entry of log.slice(from - compactedIndex - 1)) {
    bytes += entry.data.length;
    if (entries.length > 0 && bytes > bytesMax) break;
    entries.push(entry);
  }
  return entries;
}

function metadataText({ index, term, data, change, withheldBytes = data.length }: LogEntry): string {
  return `${index}/${term} of ${withheldBytes} bytes${change === undefined ? '' : ` ${JSON.stringify(change)}`}`;
}

function storedText({ snapshot, hardState, entries, mustSync }: Output): string {
  const state = hardState === undefined ? '' : ` term ${hardState.term} vote ${hardState.vote} commit ${hardState.commit}`;
  const installed = snapshot === undefined ? '' : ` snapshot ${snapshot.index}/${snapshot.term}`;
  return `${installed}${state}${entriesText(entries)}${mustSync ? '' : ' (need not sync)'}`;
}

export function entriesText(entries: readonly LogEntry[]): string {
  return entries.map((entry) => ` ${entry.index}/${entry.term}${contentText(entry)}`).join('');
}

function contentText({ data, change, withheldBytes }: LogEntry): string {
  if (change !== undefined) return `:${changeText(change)}`;
  if (withheldBytes !== undefined) return `:(${withheldBytes} bytes elsewhere)`;
  return data.length === 0 ? '' : `:${Buffer.from(data).toString()}`;
}

function changeText(change: NonNullable<LogEntry['change']>): string {
  if (change.type === 'leave-joint') return '[leave joint]';
  if (change.type === 'force') return `[force ${change.voters.join(' ')}]`;
  const members = change.members.map(({ type, id, witness }) => `${type}${witness === true ? ' witness' : ''} ${id}`).join(', ');
  if (change.type === 'simple') return `[${members}]`;
  return `[joint: ${members}${change.autoLeave ? ', leave by itself' : ''}]`;
}

export function configurationText({ voters, outgoing, learners, learnersNext, witnesses, autoLeave }: Configuration): string {
  const set = (name: string, ids: readonly number[]): string => (ids.length === 0 ? '' : ` ${name} ${ids.join(' ')}`);
  const sets = [set('before', outgoing), set('learners', learners), set('learners next', learnersNext), set('witnesses', witnesses)];
  return `voters ${voters.join(' ') || 'unknown'}${sets.join('')}${autoLeave ? ' (leaves by itself)' : ''}`;
}

function messageText(message: Message): string {
  const head = `${message.from} -> ${message.to} ${message.type} term ${message.term}`;
  switch (message.type) {
    case 'vote-request':
      return `${head}${message.pre ? ' (pre)' : ''}${message.force ? ' (force)' : ''} last ${message.lastIndex}/${message.lastTerm}`;
    case 'vote-response':
      return `${head}${message.pre ? ' (pre)' : ''} ${message.granted ? 'granted' : 'refused'}`;
    case 'append-request':
      return `${head} after ${message.previousIndex}/${message.previousTerm} commit ${message.commit}${entriesText(message.entries)}`;
    case 'append-response':
      return message.accepted
        ? `${head} accepted to ${message.index}`
        : `${head} refused ${message.index}, hint ${message.hintIndex}/${message.hintTerm}`;
    case 'append-received':
      return `${head} to ${message.index}`;
    case 'heartbeat-request':
      return `${head} commit ${message.commit} round ${message.round}${message.sleep ? ', sleep' : ''}`;
    case 'heartbeat-response':
      return `${head} round ${message.round}`;
    case 'snapshot-request':
      return `${head} ${message.snapshot.index}/${message.snapshot.term}: ${configurationText(message.snapshot.configuration)}`;
    case 'timeout-now':
      return head;
    // Where the numbers of a life begin says nothing.
    case 'read-request':
      return `${head} request ${message.read % 2 ** 20}`;
    case 'read-response':
      return `${head} request ${message.read % 2 ** 20} index ${message.index}`;
  }
}
