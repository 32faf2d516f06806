/**
 * Lets a script drive a group of members (cluster.ts). Golden scripts (test/scripts/raft) are written in it:
 *
 *   cluster 1 2 3 [learner N] [witness N] [OPTION N] ...   members, each with an empty log; a witness votes; OPTIONS below
 *   start N                      a member that is not in the group yet
 *   campaign N                   member N asks for votes
 *   elect N                      those who are not cut off forget their leader, and vote for N; nothing else happens
 *   lead N                       as elect, and what follows settles
 *   tick N [TIMES]               time passes for N
 *   clock MS                     everybody's clock goes on
 *   propose N text ...           entries for N to replicate
 *   change N [joint] WHAT M ...  a change of the configuration: WHAT is voter, learner, witness or remove; several at once are joint,
 *                                and left by themselves unless `joint` is said
 *   change N leave               leaves a joint configuration
 *   transfer N M                 N hands leadership over to M
 *   abdicate N                   N will do nothing any more: it lets another one lead, and is gone
 *   step-down N                  N leads no more, whoever can take over
 *   force N A B ...              N takes over what is left of the group: A B ...
 *   read N                       a linearizable read at N, which leads
 *   ask N                        a linearizable read at N, which asks the leader if it is another one
 *   run N                        N's output is taken: its messages leave, what it stores waits for its disk
 *   store N [COUNT]              N's disk finishes its oldest COUNT outputs, or all; what waited for that leaves
 *   receive N                    N has in its system's cache what waits for its disk, and says so
 *   answer N INDEX               N's host answers the write at INDEX, which is received and may not be committed
 *   hold N, apply N [COUNT]      N's state machine stops; applies COUNT committed entries, or all, and goes on if all
 *   compact N INDEX              N removes its log up to INDEX
 *   deliver [A B]                messages on their way arrive (only those from A to B); what they cause waits for `run`
 *   drop A B                     messages on their way from A to B are lost
 *   delay A B, copy A B          messages from A to B, or copies of them, are held up
 *   release A B                  what is held up goes on its way
 *   cut N, join N                from now on everything from and to N is lost, or is not
 *   unreachable N M              N hears that messages to M were lost
 *   forget N, wake N             N forgets its leader; N is woken
 *   settle                       run, store and deliver until nothing happens
 *   crash N                      N loses what its disk has not finished, and starts again
 *   state, members N, log N      what each member knows; N's configuration; N's log: index/term
 *   progress N                   what N, leading, knows of the others
 *
 * Options: inflight (appends in flight), append (bytes in one), window (bytes in flight), uncommitted (bytes), kept (bytes of applied
 * entries in memory), sleep (ticks), lease (milliseconds), margin (milliseconds).
 */
import { type Configuration, type ConfigurationChange, type MemberChange, votersOnly } from '../../../server/raft/index.ts';
import { Cluster, configurationText, type Sent } from './cluster.ts';

const DEFAULTS = { inflight: 256, append: 1024, window: 1 << 20, uncommitted: 1 << 20, kept: 1 << 20, sleep: 0, lease: 0, margin: 0 };

export class ScriptCluster {
  #cluster: Cluster | undefined;
  #held: Sent[] = [];
  #out: string[] = [];

  /** Runs one line; returns what happened. */
  execute(line: string): string {
    this.#out = [];
    const [command = '', ...words] = line.split(/\s+/);
    if (command === 'cluster') this.#begin(words);
    else this.#execute(command, words, line);
    return this.#out.length === 0 ? 'ok' : this.#out.join('\n');
  }

  #execute(command: string, words: readonly string[], line: string): void {
    const cluster = this.#cluster!;
    const [a = 0, b = 0, ...more] = words.map(Number);
    const between = ({ message }: Sent): boolean => a === 0 || (message.from === a && message.to === b);
    switch (command) {
      case 'start':
        return cluster.start(a);
      case 'campaign':
        return cluster.member(a).raft.campaign();
      case 'elect':
      case 'lead':
        return this.#elect(a, command === 'lead');
      case 'tick':
        for (let i = 0; i < (b || 1); i++) cluster.member(a).raft.tick();
        return;
      case 'clock':
        return cluster.advanceClock(a);
      case 'propose':
        return this.#proposed(a, cluster.member(a).raft.propose(words.slice(1).map((text) => Buffer.from(text))));
      case 'change':
        return this.#change(a, words.slice(1));
      case 'transfer': {
        const refused = cluster.member(a).raft.transferLeadership(b);
        return refused && this.#say(`${a}: refused: ${refused}`);
      }
      case 'abdicate':
        return cluster.abdicate(a);
      case 'step-down':
        return cluster.member(a).raft.stepDown();
      case 'force':
        cluster.checkCompleteness = false;
        return this.#attempt(a, () => cluster.member(a).raft.forceConfiguration([b, ...more]));
      case 'read':
        return this.#say(`${a}: read ${cluster.read(a) ?? 'refused: not-leader'}`);
      case 'ask':
        return this.#say(`${a}: read ${cluster.read(a, true) ?? 'refused: no-leader'}`);
      case 'run':
        return void cluster.run(a);
      case 'store':
        return void cluster.store(a, b || Infinity);
      case 'receive':
        return cluster.receive(a);
      case 'answer':
        return this.#attempt(a, () => cluster.member(a).raft.answered(b));
      case 'hold':
        cluster.member(a).held = true;
        return;
      case 'apply':
        if (b === 0) cluster.member(a).held = false;
        return cluster.apply(a, b || Infinity);
      case 'compact':
        return cluster.compact(a, b);
      case 'deliver':
        return void cluster.deliver(between);
      case 'drop':
        return cluster.drop(between);
      case 'delay':
        this.#held.push(...cluster.network.filter(between));
        cluster.network = cluster.network.filter((sent) => !between(sent));
        return;
      case 'copy':
        this.#held.push(...cluster.network.filter(between));
        return;
      case 'release':
        cluster.network.push(...this.#held.filter(between));
        this.#held = this.#held.filter((sent) => !between(sent));
        return;
      case 'cut':
        return void cluster.cut.add(a);
      case 'join':
        return void cluster.cut.delete(a);
      case 'unreachable':
        return cluster.member(a).raft.unreachable(b);
      case 'forget':
        return cluster.member(a).raft.forgetLeader();
      case 'wake':
        return cluster.member(a).raft.wake();
      case 'settle':
        return this.#settle();
      case 'crash':
        return cluster.crash(a);
      case 'state':
        for (const id of cluster.members.keys()) this.#say(this.#state(id));
        return;
      case 'members':
        return this.#say(`${a}: ${configurationText(cluster.member(a).raft.configuration)}`);
      case 'log':
        return this.#log(a);
      case 'progress':
        return this.#progress(a);
      default:
        throw new Error(`unknown command: ${line}`);
    }
  }

  #begin(words: readonly string[]): void {
    const options = { ...DEFAULTS };
    const voters: number[] = [];
    const learners: number[] = [];
    const witnesses: number[] = [];
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      if (/^\d+$/.test(word)) voters.push(Number(word));
      else if (word === 'learner') learners.push(Number(words[++i]));
      else if (word === 'witness') witnesses.push(Number(words[++i]));
      else if (Object.hasOwn(options, word)) options[word as keyof typeof options] = Number(words[++i]);
      else throw new Error(`unknown option: ${word}`);
    }
    const configuration: Configuration = { ...votersOnly([...voters, ...witnesses]), learners, witnesses };
    this.#cluster = new Cluster(configuration, [...voters, ...witnesses, ...learners], {
      appendBytesMax: options.append,
      inflight: { messages: options.inflight, bytes: options.window },
      uncommittedBytesMax: options.uncommitted,
      keptBytesMax: options.kept,
      sleepTicks: options.sleep || Infinity,
      lease: options.lease === 0 ? undefined : { durationMs: options.lease, pauseMarginMs: options.margin },
    });
    this.#cluster.say = (text) => this.#say(text());
  }

  #settle(): void {
    const cluster = this.#cluster!;
    const { say } = cluster;
    // What is stored is told where it matters: by `run`.
    cluster.say = (text) => {
      const line = text();
      if (!line.includes(': stores')) this.#say(line);
    };
    cluster.settle();
    cluster.say = say;
  }

  #elect(id: number, settle: boolean): void {
    const cluster = this.#cluster!;
    const { say } = cluster;
    cluster.say = () => undefined;
    const others = [...cluster.members.keys()].filter((member) => !cluster.cut.has(member));
    const { raft } = cluster.member(id);
    for (const other of others) cluster.member(other).raft.forgetLeader();
    raft.campaign();
    for (let round = 0; round < 4 && raft.role !== 'leader'; round++) {
      for (const member of others) {
        cluster.run(member);
        cluster.store(member);
      }
      cluster.deliver(({ message }) => message.type === 'vote-request' || message.type === 'vote-response');
    }
    if (settle) cluster.settle();
    cluster.say = say;
    this.#say(raft.role === 'leader' ? `${id} leads term ${raft.term}` : `${id} is not elected, ${raft.role} in term ${raft.term}`);
  }

  #change(id: number, words: readonly string[]): void {
    const { raft } = this.#cluster!.member(id);
    const explicit = words[0] === 'joint';
    const rest = explicit ? words.slice(1) : words;
    const members: MemberChange[] = [];
    for (let i = 0; i + 1 < rest.length; i += 2) {
      const type = rest[i] === 'remove' ? 'remove' : rest[i] === 'learner' ? 'make-learner' : 'make-voter';
      members.push({ type, id: Number(rest[i + 1]), ...(rest[i] === 'witness' && { witness: true }) });
    }
    let change: ConfigurationChange;
    if (rest[0] === 'leave') change = { type: 'leave-joint' };
    else if (explicit || members.length > 1) change = { type: 'enter-joint', members, autoLeave: !explicit };
    else change = { type: 'simple', members };
    this.#attempt(id, () => this.#proposed(id, raft.proposeChange(change)));
  }

  #attempt(id: number, act: () => void): void {
    try {
      act();
    } catch (error) {
      if ((error as { code?: string }).code !== 'CONFIGURATION_CHANGE') throw error;
      this.#say(`${id}: invalid: ${(error as Error).message}`);
    }
  }

  #proposed(id: number, { index, refused }: { index?: number; refused?: string }): void {
    this.#say(refused === undefined ? `${id}: proposed from ${index}` : `${id}: refused: ${refused}`);
  }

  #state(id: number): string {
    const { raft, state } = this.#cluster!.member(id);
    const { log, transferee } = raft;
    const also = `${transferee === 0 ? '' : `, hands over to ${transferee}`}${raft.asleep ? ', asleep' : ''}`;
    return `${id}: ${raft.role} term ${raft.term} leader ${raft.leader} last ${log.lastIndex} persisted ${log.persisted} committed ${log.committed} applied ${state.index}${also}`;
  }

  #log(id: number): void {
    const { log } = this.#cluster!.member(id).raft;
    const count = log.lastIndex + 1 - log.firstIndex;
    const entries = Array.from({ length: count }, (_, i) => `${log.firstIndex + i}/${log.term(log.firstIndex + i) ?? '?'}`);
    this.#say(`${id}: ${entries.join(' ')}`);
  }

  #progress(id: number): void {
    const { raft } = this.#cluster!.member(id);
    for (const other of this.#cluster!.members.keys()) {
      const progress = raft.progress(other);
      if (progress === undefined || other === id) continue;
      const { state, match, next, paused, inflight } = progress;
      const window = inflight.messages === 0 ? '' : ` in flight ${inflight.messages} (${inflight.bytes} bytes)`;
      this.#say(`${id}: of ${other}: ${state} match ${match} next ${next}${paused ? ' paused' : ''}${window}`);
    }
  }

  #say(line: string): void {
    // Of several heartbeats in a row the last one is shown.
    const [heartbeat] = /^\d+ -> \d+ heartbeat-\w+/.exec(line) ?? [];
    if (heartbeat !== undefined) this.#out = this.#out.filter((before) => !before.startsWith(heartbeat));
    this.#out.push(line);
  }
}
