/**
 * Answers writes of a shard whose table has durability `os` when majorities have them in their systems' caches, before they are on disks and applied.
 *
 *   proposed -> certain? -> received by majorities -> answered -> on the disks of majorities, applied            (server/raft/received.ts)
 *                  no: answered when applied, as all writes of other tables are
 *
 * An answer says what will be: that the write is done, at its index. So it is given only where that is certain from what this leader knows of the log:
 *
 *   - it has no conditions, and is no range delete: what comes of those is known when they are applied;
 *   - it is for the epoch of the shard, which is written to, and nothing in the log before it changes what the shard is;
 *   - it is not a write that was done before, nor one that is too old to tell (request-table.ts), nor will be by what is in the log before it;
 *   - all of the log that is not applied was proposed by this leader while it looked.
 *
 * Not more than ANSWERED_MS of answers are ahead of the disks: where the oldest of those that are not on a majority's is older, because a disk is slow, writes are
 * answered when they are applied. So what a loss of power to a majority at once can take is what was answered within that time.
 *
 * Made by replica.ts, used by core-drive.ts. Calls server/raft.
 */
import type { Clock } from '../../base/env.ts';
import type { Raft } from '../raft/index.ts';
import type { ShardDescriptor } from '../shard/descriptor.ts';
import { type CommandRequestId, peekCommand } from './command-codec.ts';
import type { Proposal } from './proposals.ts';
import { CLIENTS_MAX, type RememberedWrite } from './request-table.ts';

/** Answers are at most so far ahead of the disks. */
export const ANSWERED_MS = 100;

/** What is applied, as far as it matters here. */
export interface AppliedState {
  readonly applied: number;
  readonly shard: { readonly descriptor: ShardDescriptor };
  readonly clients: number;
  lookup(id: CommandRequestId): RememberedWrite | 'new' | 'expired';
}

/** An entry that is not applied, of this leader. */
interface Tracked {
  readonly index: number;
  /** Of an identified write. */
  readonly client: string | undefined;
  /** To be answered early; undefined: it is not certain what comes of it, or it was. */
  proposal: Proposal | undefined;
}

/** What one client has in the log beyond what is applied. */
interface ClientWrites {
  count: number;
  /** The largest of their numbers. */
  sequence: number;
}

export class EarlyAnswers {
  readonly #raft: Pick<Raft, 'receivedIndex' | 'answered' | 'log' | 'role'>;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** In the order of the log; those before #next are answered, or will not be. */
  #tracked: Tracked[] = [];
  #next = 0;
  readonly #clients: Map<string, ClientWrites> = new Map();
  /** Entries up to here were not looked at, or change what the shard is: nothing is certain before they are applied. Undefined: nothing is tracked. */
  #uncertain: number | undefined;
  /** Answered, and not known to be on the disks of majorities, with the time of the answer. */
  #ahead: { readonly index: number; readonly atMs: number }[] = [];
  #answered = 0;
  #count = 0;

  constructor(raft: Pick<Raft, 'receivedIndex' | 'answered' | 'log' | 'role'>, clock: Pick<Clock, 'monotonicMs'>) {
    this.#raft = raft;
    this.#clock = clock;
  }

  /** The last entry that was answered early in this lead; 0: none. */
  get answered(): number {
    return this.#answered;
  }

  /** How many writes were. */
  get count(): number {
    return this.#count;
  }

  /** Proposals have become entries, from `first` on. */
  begun(proposals: readonly Proposal[], first: number, state: AppliedState): void {
    if (state.shard.descriptor.durability !== 'os') return this.reset();
    this.#uncertain ??= first - 1;
    for (const [i, proposal] of proposals.entries()) this.#track(proposal, first + i, state);
  }

  /** Answers what may be. Returns whether it answered anything. */
  answer(): boolean {
    if (this.#next >= this.#tracked.length || this.#raft.role !== 'leader') return false;
    const received = this.#raft.receivedIndex;
    const { committed } = this.#raft.log;
    while (this.#ahead.length > 0 && this.#ahead[0]!.index <= committed) this.#ahead.shift();
    const nowMs = this.#clock.monotonicMs();
    if (this.#ahead.length > 0 && nowMs - this.#ahead[0]!.atMs > ANSWERED_MS) return false;
    const due: Tracked[] = [];
    for (; this.#next < this.#tracked.length && this.#tracked[this.#next]!.index <= received; this.#next++) {
      const each = this.#tracked[this.#next]!;
      if (each.proposal !== undefined) due.push(each);
    }
    const last = due.at(-1);
    if (last === undefined) return false;
    // Before whoever is answered can ask for a read.
    this.#raft.answered(last.index);
    this.#answered = last.index;
    this.#count += due.length;
    if (last.index > committed) this.#ahead.push({ index: last.index, atMs: nowMs });
    for (const each of due) {
      each.proposal!.resolve({ outcome: 'applied', version: each.index });
      each.proposal = undefined;
    }
    return true;
  }

  /** Everything up to `index` is applied, and answered with it. */
  applied(index: number): void {
    let count = 0;
    for (; count < this.#tracked.length && this.#tracked[count]!.index <= index; count++) this.#forget(this.#tracked[count]!);
    this.#tracked.splice(0, count);
    this.#next = Math.max(0, this.#next - count);
  }

  /** This member leads no more, or the table's writes are synced from now on: what is in the log is answered when it is applied. */
  reset(): void {
    if (this.#uncertain === undefined) return;
    this.#uncertain = undefined;
    this.#tracked = [];
    this.#next = 0;
    this.#clients.clear();
    this.#ahead = [];
  }

  /** As `reset`, and reads need not wait for what was answered. */
  lose(): void {
    this.reset();
    this.#answered = 0;
  }

  #track(proposal: Proposal, index: number, state: AppliedState): void {
    const command = peekCommand(proposal.command);
    if (command.changesShard) this.#uncertain = index;
    const { id } = command;
    const client = id === undefined ? undefined : Buffer.from(id.client.buffer, id.client.byteOffset, id.client.length).toString('latin1');
    const certain =
      state.applied >= this.#uncertain! &&
      command.plainWrite &&
      isWritten(state.shard.descriptor, command.epoch) &&
      this.#isNew(id, client, state);
    this.#tracked.push({ index, client, proposal: certain ? proposal : undefined });
    if (id === undefined || client === undefined) return;
    const writes = this.#clients.get(client);
    if (writes === undefined) this.#clients.set(client, { count: 1, sequence: id.sequence });
    else {
      writes.count++;
      writes.sequence = Math.max(writes.sequence, id.sequence);
    }
  }

  /** Whether the table of requests will say of it, when it comes to it, that it is new. */
  #isNew(id: CommandRequestId | undefined, client: string | undefined, state: AppliedState): boolean {
    if (id === undefined || client === undefined) return true;
    // Nobody is forgotten by then, and what this client wrote since took no slot of a later number.
    if (state.clients + this.#clients.size >= CLIENTS_MAX) return false;
    return id.sequence > (this.#clients.get(client)?.sequence ?? 0) && state.lookup(id) === 'new';
  }

  #forget({ client }: Tracked): void {
    const writes = client === undefined ? undefined : this.#clients.get(client);
    if (writes !== undefined && --writes.count === 0) this.#clients.delete(client!);
  }
}

function isWritten({ epoch, state }: ShardDescriptor, wanted: number): boolean {
  return (wanted === 0 || wanted === epoch) && (state === 'normal' || state === 'splitting');
}
