/**
 * A group of pure Raft members with a network and disks that do what a script says. Golden scripts (test/scripts/raft) drive it:
 *
 *   cluster 1 2 3 [OPTION N ...] members, each with an empty log; options: inflight (appends in flight), append (bytes in one)
 *   campaign N                   member N asks for votes
 *   tick N [TIMES]               time passes for N
 *   propose N text ...           entries for N to replicate
 *   read N                       a linearizable read at N
 *   run N                        N's output is taken: its messages leave, what it stores waits for its disk
 *   store N [COUNT]              N's disk finishes its oldest COUNT outputs, or all; what waited for that leaves
 *   deliver [A B]                messages on their way arrive (only those from A to B); what they cause waits for `run`
 *   drop A B                     messages on their way from A to B are lost
 *   cut N, join N                from now on everything from and to N is lost, or is not
 *   settle                       run, store and deliver until nothing happens
 *   crash N                      N loses what its disk has not finished, and starts again
 *   state                        what each member knows
 *   log N                        N's log: index/term
 */
import { type HardState, type LogEntry, type Message, type Output, Raft } from '../../../server/raft/index.ts';

interface Disk {
  hardState: HardState;
  log: LogEntry[];
}

interface Member {
  raft: Raft;
  disk: Disk;
  /** Outputs that the disk has not finished. */
  storing: Output[];
  applied: number;
  reads: number;
}

export class ScriptCluster {
  readonly #members: Map<number, Member> = new Map();
  #network: Message[] = [];
  readonly #cut: Set<number> = new Set();
  readonly #options: Map<string, number> = new Map([
    ['inflight', 256],
    ['append', 1024],
  ]);
  /** What was applied at each index, and who led each term: the same for all, for ever. */
  readonly #appliedAnywhere: Map<number, string> = new Map();
  readonly #leaders: Map<number, number> = new Map();
  #out: string[] = [];

  /** Runs one line; returns what happened. */
  execute(line: string): string {
    this.#out = [];
    const [command = '', ...words] = line.split(/\s+/);
    const numbers = words.map(Number);
    const [a = 0, b = 0] = numbers;
    if (command === 'cluster') this.#begin(words);
    else if (command === 'campaign') this.#member(a).raft.campaign();
    else if (command === 'tick') for (let i = 0; i < (b || 1); i++) this.#member(a).raft.tick();
    else if (command === 'propose') this.#propose(a, words.slice(1));
    else if (command === 'read') this.#say(`${a}: read ${this.#member(a).raft.requestRead() ?? 'refused: not the leader'}`);
    else if (command === 'run') this.#run(a, true);
    else if (command === 'store') this.#store(a, b || Infinity);
    else if (command === 'deliver') this.#deliver((message) => a === 0 || (message.from === a && message.to === b));
    else if (command === 'drop') this.#network = this.#network.filter((message) => message.from !== a || message.to !== b);
    else if (command === 'cut') this.#cut.add(a);
    else if (command === 'join') this.#cut.delete(a);
    else if (command === 'settle') this.#settle();
    else if (command === 'crash') this.#crash(a);
    else if (command === 'state') this.#state();
    else if (command === 'log') this.#log(a);
    else throw new Error(`unknown command: ${line}`);
    return this.#out.length === 0 ? 'ok' : this.#out.join('\n');
  }

  #begin(words: readonly string[]): void {
    const options = words.findIndex((word) => this.#options.has(word));
    for (let i = options; i >= 0 && i < words.length; i += 2) this.#options.set(words[i]!, Number(words[i + 1]));
    const ids = (options < 0 ? words : words.slice(0, options)).map(Number);
    for (const id of ids) {
      const disk: Disk = { hardState: { term: 0, vote: 0, commit: 0 }, log: [] };
      this.#members.set(id, { raft: this.#open(id, ids, disk, 0), disk, storing: [], applied: 0, reads: 0 });
    }
  }

  #open(id: number, voters: readonly number[], disk: Disk, applied: number): Raft {
    const terms = disk.log.filter((entry, i) => entry.term !== disk.log[i - 1]?.term).map(({ index, term }) => ({ index, term }));
    return new Raft({
      id,
      voters,
      electionTicks: 10,
      heartbeatTicks: 1,
      seed: id,
      appendBytesMax: this.#options.get('append')!,
      inflight: { messages: this.#options.get('inflight')!, bytes: 1 << 20 },
      hardState: { ...disk.hardState, commit: Math.min(disk.hardState.commit, disk.log.length) },
      log: { compactedIndex: 0, compactedTerm: 0, lastIndex: disk.log.length, terms, entries: disk.log },
      applied,
    });
  }

  #propose(id: number, texts: readonly string[]): void {
    const first = this.#member(id).raft.propose(texts.map((text) => Buffer.from(text)));
    this.#say(first === undefined ? `${id}: refused: not the leader` : `${id}: proposed from ${first}`);
  }

  /** Takes a member's output. True when there was anything. */
  #run(id: number, all: boolean): boolean {
    const member = this.#member(id);
    const output = member.raft.output();
    for (const message of output.messages) this.#send(message);
    const stores = output.hardState !== undefined || output.entries.length > 0 || output.messagesAfterSync.length > 0;
    if (stores) {
      member.storing.push(output);
      if (all) {
        const state =
          output.hardState === undefined
            ? ''
            : ` term ${output.hardState.term} vote ${output.hardState.vote} commit ${output.hardState.commit}`;
        this.#say(`${id}: stores${state}${entriesText(output.entries)}${output.mustSync ? '' : ' (need not sync)'}`);
      }
    }
    this.#check(id, output);
    if (output.committed.length > 0) {
      this.#say(`${id}: applies${entriesText(output.committed)}`);
      member.applied = output.committed.at(-1)!.index;
    }
    for (const { read, index } of output.reads) this.#say(`${id}: read ${read} may be served at ${index}`);
    for (const read of output.lostReads) this.#say(`${id}: read ${read} is lost`);
    return stores || output.messages.length > 0 || output.committed.length > 0;
  }

  /** Raft's promises, after every output: one leader a term, the same entry at each index, nothing applied before it is stored. */
  #check(id: number, output: Output): void {
    const { raft, disk } = this.#member(id);
    if (raft.role === 'leader') {
      const leader = this.#leaders.get(raft.term) ?? id;
      if (leader !== id) throw new Error(`${leader} and ${id} both lead term ${raft.term}`);
      this.#leaders.set(raft.term, id);
    }
    for (const entry of output.committed) {
      const text = entriesText([entry]);
      const applied = this.#appliedAnywhere.get(entry.index) ?? text;
      if (applied !== text) throw new Error(`${id} applies${text}, but${applied} was applied there`);
      if (disk.log[entry.index - 1]?.term !== entry.term) throw new Error(`${id} applies${text} before it is stored`);
      this.#appliedAnywhere.set(entry.index, text);
    }
  }

  /** How many entries have been applied by anybody. */
  get applied(): number {
    return this.#appliedAnywhere.size;
  }

  #store(id: number, count = Infinity): boolean {
    const member = this.#member(id);
    const storing = member.storing.splice(0, count);
    for (const output of storing) {
      if (output.hardState !== undefined) member.disk.hardState = output.hardState;
      if (output.entries.length > 0) member.disk.log.length = output.entries[0]!.index - 1;
      member.disk.log.push(...output.entries);
      member.raft.persisted(output.token);
      for (const message of output.messagesAfterSync) {
        if (message.to === id) member.raft.step(message);
        else this.#send(message);
      }
    }
    return storing.length > 0;
  }

  #send(message: Message): void {
    // As over a real network: the receiver gets a copy.
    if (!this.#cut.has(message.from) && !this.#cut.has(message.to)) this.#network.push(structuredClone(message));
  }

  #deliver(which: (message: Message) => boolean): boolean {
    const now = this.#network.filter(which);
    this.#network = this.#network.filter((message) => !which(message));
    for (const message of now) {
      this.#say(messageText(message));
      this.#member(message.to).raft.step(message);
    }
    return now.length > 0;
  }

  #settle(): void {
    for (let round = 0; round < 200; round++) {
      let busy = false;
      for (const id of this.#members.keys()) {
        busy = this.#run(id, false) || busy;
        busy = this.#store(id) || busy;
      }
      busy = this.#deliver(() => true) || busy;
      if (!busy) return;
    }
    throw new Error('the group does not settle');
  }

  #crash(id: number): void {
    const member = this.#member(id);
    member.storing = [];
    const applied = Math.min(member.applied, member.disk.hardState.commit, member.disk.log.length);
    member.raft = this.#open(id, [...this.#members.keys()], member.disk, applied);
  }

  #state(): void {
    for (const [id, { raft, applied }] of this.#members) {
      const { log } = raft;
      this.#say(
        `${id}: ${raft.role} term ${raft.term} leader ${raft.leader} last ${log.lastIndex} persisted ${log.persisted} committed ${log.committed} applied ${applied}`,
      );
    }
  }

  #log(id: number): void {
    const { log } = this.#member(id).raft;
    const entries = Array.from({ length: log.lastIndex }, (_, i) => `${i + 1}/${log.term(i + 1) ?? '?'}`);
    this.#say(`${id}: ${entries.join(' ')}`);
  }

  #member(id: number): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  #say(line: string): void {
    this.#out.push(line);
  }
}

function entriesText(entries: readonly LogEntry[]): string {
  return entries.map(({ index, term, data }) => ` ${index}/${term}${data.length === 0 ? '' : `:${Buffer.from(data).toString()}`}`).join('');
}

function messageText(message: Message): string {
  const head = `${message.from} -> ${message.to} ${message.type} term ${message.term}`;
  switch (message.type) {
    case 'vote-request':
      return `${head} last ${message.lastIndex}/${message.lastTerm}`;
    case 'vote-response':
      return `${head} ${message.granted ? 'granted' : 'refused'}`;
    case 'append-request':
      return `${head} after ${message.previousIndex}/${message.previousTerm} commit ${message.commit}${entriesText(message.entries)}`;
    case 'append-response':
      return message.accepted
        ? `${head} accepted to ${message.index}`
        : `${head} refused ${message.index}, hint ${message.hintIndex}/${message.hintTerm}`;
    case 'heartbeat-request':
      return `${head} commit ${message.commit} round ${message.round}`;
    case 'heartbeat-response':
      return `${head} round ${message.round}`;
  }
}
