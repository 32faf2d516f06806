/**
 * Snapshots of a replica that runs: what is sent to members whose entries the log has no more, and what arrives and takes the place of engine and log.
 *
 *   arrives, whole and durable -> the core is told -> it wants it stored -> term and vote, the engine, the log: each durable before the next
 *
 * As long as one is being installed, all that the core wants stored is stored after it, in order.
 *
 * Used by replica-state.ts. Calls replica-store.ts, log-feed.ts, applier.ts, engine-upkeep.ts.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import { type Message, type Output, type Raft, type Snapshot, votersOnly } from '../raft/index.ts';
import type { SnapshotHead, SnapshotSink } from '../transport/index.ts';
import type { Applier } from './applier.ts';
import type { EngineUpkeep } from './engine-upkeep.ts';
import type { LogFeed } from './log-feed.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import { StateMachine } from './state-machine.ts';

/** What an exchange is given of its replica. */
export interface ExchangeParts {
  readonly settings: Pick<ReplicaSettings, 'group' | 'id' | 'descriptor'>;
  readonly parts: Pick<ReplicaParts, 'store' | 'log' | 'host' | 'random' | 'births'>;
  readonly raft: Raft;
  readonly feed: LogFeed;
  readonly applier: Applier;
  readonly upkeep: EngineUpkeep;
  readonly machine: () => StateMachine;
  /** The state is another one from now on. */
  readonly become: (machine: StateMachine) => void;
  /** A snapshot that was sent to a member has arrived there, or not. */
  readonly reported: (to: number, arrived: boolean) => void;
  /** The engine is not to be copied. */
  readonly damaged: () => boolean;
}

export class SnapshotExchange {
  readonly #of: ExchangeParts;
  /** A snapshot that is whole and durable, and that the core has been told of. */
  #arrived: Snapshot | undefined;
  /** A snapshot takes the place of engine and log; what is to be stored waits for it. */
  #installing: Promise<void> | undefined;
  #ids = 0;

  constructor(of: ExchangeParts) {
    this.#of = of;
  }

  get installing(): boolean {
    return this.#installing !== undefined;
  }

  /** One has arrived, and the core has not said yet what it wants with it; or it is being installed. */
  get pending(): boolean {
    return this.#arrived !== undefined || this.#installing !== undefined;
  }

  /** Settles when no snapshot takes the engine's place. Never rejects. */
  async settled(): Promise<void> {
    await this.#installing?.catch(() => undefined);
  }

  /** Where a snapshot from another member may go. `arrived` is called when it is whole and durable, and when all that it brings is here already. */
  accept(head: SnapshotHead, arrived: (snapshot: Snapshot) => void): Promise<SnapshotSink> {
    const { settings, parts, raft } = this.#of;
    const { term, snapshot } = head;
    const { store } = parts;
    if (store === undefined || term < raft.term || snapshot.index <= raft.log.committed) {
      // A leader that does not hear how far this member is would send the same one again, and might wait for nobody else.
      if (store !== undefined && term >= raft.term) arrived(snapshot);
      throw new SparrowError(
        'conflict',
        'SNAPSHOT_NOT_NEEDED',
        `a snapshot of entry ${snapshot.index} brings member ${settings.id} nothing`,
      );
    }
    if (this.pending) throw new SparrowError('unavailable', 'SNAPSHOT_INSTALLING', 'another snapshot is being installed');
    return store.accept(head, () => {
      this.#arrived = snapshot;
      arrived(snapshot);
    });
  }

  /** The core has put out what it wants. */
  noteOutput(output: Output): void {
    // The core had no use for what arrived: it has all that, by another way.
    if (output.snapshot === undefined && this.#installing === undefined) this.#arrived = undefined;
  }

  /** Settles when it is durable, and everything before it. `onWritten`: see LogFeed.append; not called while a snapshot is installed. */
  store(output: Output, onWritten?: () => void): Promise<void> {
    const inOrder = this.#installing !== undefined || output.snapshot !== undefined;
    return inOrder ? this.#storeInOrder(output) : this.#of.feed.append(output, onWritten);
  }

  /** Never true: the data of a snapshot goes another way than messages, and stands for this one. */
  send({ to, term }: Pick<Message, 'to' | 'term'>): boolean {
    const { settings, parts, applier, machine } = this.#of;
    const { store, host, random } = parts;
    const reported = (arrived: boolean): void => this.#of.reported(to, arrived);
    if (store === undefined || store.sending || this.#of.damaged()) {
      reported(false);
      return false;
    }
    applier.between(
      async () => {
        await machine().mark();
        const id = `${settings.id}-${term}-${machine().applied}-${++this.#ids}-${random.u32()}`;
        const describe = (index: number): Snapshot => this.#snapshotOf(index);
        const sent = store.send(term, describe, id, (source) => host.sendSnapshot(to, settings.group, source));
        // Who cannot be sent one is asked again by the core.
        void sent.then(
          () => reported(true),
          () => reported(false),
        );
      },
      () => reported(false),
    );
    return false;
  }

  #storeInOrder(output: Output): Promise<void> {
    const { feed } = this.#of;
    const store = (): Promise<void> => (output.snapshot === undefined ? feed.append(output) : this.#install(output, output.snapshot));
    const stored = (this.#installing ?? Promise.resolve()).then(store);
    this.#installing = stored;
    const done = (): void => {
      if (this.#installing === stored) this.#installing = undefined;
    };
    stored.then(done, done);
    return stored;
  }

  /** The snapshot that arrived takes the place of engine and log: term and vote, the engine, the log; each durable before the next. */
  async #install({ hardState, entries }: Output, { index, term }: Snapshot): Promise<void> {
    const { settings, parts, feed, applier, upkeep } = this.#of;
    const { store, log, host } = parts;
    assert(
      store !== undefined && this.#arrived?.index === index && this.#arrived.term === term,
      'the snapshot that is installed has arrived',
    );
    if (hardState !== undefined) await feed.appendTerm(hardState);
    await applier.halt();
    await upkeep.halt();
    const engine = await store.install({ index, term });
    const machine = new StateMachine({ engine, log, beginning: votersOnly([]), descriptor: settings.descriptor, births: parts.births });
    if (machine.applied !== index) {
      throw new SparrowError(
        'corrupt',
        'SNAPSHOT_MISMATCH',
        `a snapshot of entry ${index} came with the state of entry ${machine.applied}`,
      );
    }
    this.#of.become(machine);
    await feed.restore(index, term);
    await feed.append({ hardState, entries, mustSync: true });
    this.#arrived = undefined;
    upkeep.resume(machine);
    applier.resume(machine);
    host.membersChanged();
  }

  /** What a copy of the engine is that has the effects of all entries up to `index`. */
  #snapshotOf(index: number): Snapshot {
    const term = this.#of.raft.log.term(index);
    const configuration = this.#of.machine().configurationAt(index);
    // So far back by now that whoever got it would lack what comes after it.
    if (term === undefined || configuration === undefined)
      throw new SparrowError('unavailable', 'SNAPSHOT_OUTDATED', `the log does not hold entry ${index} any more`, { index });
    return { index, term, configuration };
  }
}
