/**
 * Engines of a replica, one after another, and the snapshots between members: a checkpoint of the engine is what is sent, and what arrives
 * becomes the engine, all of its values in files of its own. The directory sees to crashes (group-directory.ts), the transport to transfers (server/transport).
 *
 * Used by replica.ts. Calls the engine, group-directory.ts and server/transport.
 */
import type { FileSystem, Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { HostedEngine } from '../../engine/index.ts';
import type { Snapshot } from '../raft/index.ts';
import {
  DirectorySource,
  IncomingSnapshot,
  type RunningHash64,
  type SnapshotHead,
  type SnapshotSink,
  type SnapshotSource,
} from '../transport/index.ts';
import { AddressBook, NODE_PREFIX } from './address-book.ts';
import { type DamageNote, GroupDirectory, type SnapshotBegin } from './group-directory.ts';
import type { Hash64 } from './log/index.ts';
import type { MendingParts } from './mending.ts';
import { checkSnapshot } from './snapshot-check.ts';
import { SnapshotMending } from './snapshot-mending.ts';

/** Of a segment that is sent. */
const SENT_SHARE_MIN = 0.5;

export interface ReplicaStoreParts {
  readonly fileSystem: FileSystem;
  /** Of the group, on this node. */
  readonly directory: string;
  /** The group's log has something: it was here before. */
  readonly begun?: boolean;
  /** Opens an engine under the node's log (engine/hosted-api.ts): its `segmentPath` is NodeLog's. */
  readonly openEngine: (path: string) => Promise<HostedEngine>;
  readonly hash: Hash64;
  readonly createHash: () => RunningHash64;
  readonly scheduler: Scheduler;
}

export class ReplicaStore {
  readonly #parts: ReplicaStoreParts;
  readonly #directory: GroupDirectory;
  #engine: HostedEngine | undefined;
  /** Why there is no engine that could be used. */
  #damage: SparrowError | undefined;
  #incoming: IncomingSnapshot | undefined;
  /** How often a snapshot was taken in. */
  #accepted = 0;
  #sending = false;
  #sent = 0;
  #installed = 0;

  static async open(parts: ReplicaStoreParts): Promise<ReplicaStore> {
    const directory = new GroupDirectory(parts.fileSystem, parts.directory, parts.hash, parts.begun);
    const { damage } = directory;
    if (damage !== undefined) {
      const error = new SparrowError('corrupt', 'ENGINE_DAMAGED', `the engine in ${directory.engine} is damaged: ${damage.what}`);
      return new ReplicaStore(parts, directory, undefined, error);
    }
    try {
      return new ReplicaStore(parts, directory, await parts.openEngine(directory.engine), undefined);
    } catch (error) {
      if (!(error instanceof SparrowError) || error.kind !== 'corrupt') throw error;
      return new ReplicaStore(parts, directory, undefined, error);
    }
  }

  private constructor(
    parts: ReplicaStoreParts,
    directory: GroupDirectory,
    engine: HostedEngine | undefined,
    damage: SparrowError | undefined,
  ) {
    this.#parts = parts;
    this.#directory = directory;
    this.#engine = engine;
    this.#damage = damage;
  }

  /** Throws what `damage` says. */
  get engine(): HostedEngine {
    if (this.#engine === undefined) throw this.#damage!;
    return this.#engine;
  }

  /** The engine cannot be opened, or was found to be damaged before: a snapshot has to take its place. Undefined: there is one. */
  get damage(): SparrowError | undefined {
    return this.#damage;
  }

  /** Who the members were when that was found, and where; undefined where it was found while opening. */
  get damageNote(): DamageNote | undefined {
    return this.#directory.damage;
  }

  /** Where nodes listen to one another, as the engine has it, or as it was noted when it was found to be damaged; by id. Empty: nobody can tell. */
  get peerAddresses(): ReadonlyMap<number, string> {
    if (this.#engine === undefined)
      return new Map(Object.entries(this.damageNote?.nodes ?? {}).map(([id, address]) => [Number(id), address]));
    const book = new AddressBook(new Map());
    try {
      book.load(this.#engine.scanSync({ prefix: NODE_PREFIX }));
    } catch (error) {
      // Whoever opens the replica is told.
      if (!(error instanceof SparrowError) || error.kind !== 'corrupt') throw error;
    }
    return new Map([...book.nodes].map(([id, { peerAddress }]) => [id, peerAddress]));
  }

  /** The engine that is open is damaged: also for whoever opens this after a crash. Durable when it returns. */
  noteDamage(note: DamageNote): void {
    this.#directory.noteDamage(note);
  }

  get begin(): SnapshotBegin {
    return this.#directory.begin;
  }

  /** Snapshots that were sent off, and those that took the engine's place. */
  get counts(): { sent: number; installed: number } {
    return { sent: this.#sent, installed: this.#installed };
  }

  /** How much is there of the snapshot that is arriving. */
  get receiving(): { bytes: number; bytesTotal: number } | undefined {
    if (this.#incoming === undefined) return undefined;
    const { head, position } = this.#incoming;
    const sum = (files: typeof head.files): number => files.reduce((bytes, file) => bytes + file.bytes, 0);
    return { bytes: sum(head.files.slice(0, position.file)) + position.offset, bytesTotal: sum(head.files) };
  }

  /** One at a time is sent. */
  get sending(): boolean {
    return this.#sending;
  }

  /**
   * Sends the state of now, or of a moment later. `describe` says what a state is that has the effects of all entries up to an index; may throw. `id` tells
   * it from every other. Settles when the other side has it.
   *
   * Segments of the node's log go as they are, up to the last value that the engine points to there, with whatever else they hold: they become files of
   * the receiver's own. Where less than SENT_SHARE_MIN of that is this engine's, the values are moved into a file of its own before.
   */
  async send(
    term: number,
    describe: (index: number) => Snapshot,
    id: string,
    transfer: (source: SnapshotSource) => Promise<void>,
  ): Promise<void> {
    this.#sending = true;
    try {
      const { fileSystem } = this.#parts;
      const { outgoing } = this.#directory;
      const { engine } = this;
      const strange = engine.hostSegments().filter(({ segment, end, liveBytes }) => segment !== 0 && liveBytes < end * SENT_SHARE_MIN);
      if (strange.length > 0) await engine.relocate(strange.map(({ segment }) => segment));
      const { sequence, contents } = await engine.checkpoint(outgoing);
      const snapshot = describe(sequence!);
      // A lock's files are no part of the store.
      const names = fileSystem.listSync(outgoing).filter((name) => !name.startsWith('LOCK'));
      const lengths = new Map(contents.map(({ name, bytes }) => [name, bytes]));
      const source = new DirectorySource(fileSystem, outgoing, { term, snapshot, id }, names, lengths);
      try {
        await transfer(source);
      } finally {
        source.close();
      }
      this.#sent++;
    } finally {
      this.#sending = false;
      this.#directory.clearOutgoing();
    }
  }

  /** Where a snapshot may go. What arrived of another one before is given up. `arrived` is called when it is whole, durable, and found to be sound. */
  async accept(head: SnapshotHead, arrived: () => void): Promise<SnapshotSink> {
    const { fileSystem, hash, createHash } = this.#parts;
    this.#incoming?.close();
    this.#incoming = undefined;
    const turn = ++this.#accepted;
    const incoming = await IncomingSnapshot.open({ fileSystem, directory: this.#directory.incoming, hash, createHash }, head);
    if (turn !== this.#accepted) {
      incoming.close();
      throw givenUp();
    }
    this.#incoming = incoming;
    return {
      get position() {
        return incoming.position;
      },
      write: (bytes) => incoming.write(bytes),
      endFile: (check) => incoming.endFile(check),
      finish: async () => {
        await incoming.finish();
        await this.#check(incoming);
        if (this.#incoming !== incoming) throw givenUp();
        this.#incoming = undefined;
        arrived();
      },
      close: () => {
        incoming.close();
        if (this.#incoming === incoming) this.#incoming = undefined;
      },
    };
  }

  /** What is damaged is not gone on with. */
  async #check(arrived: IncomingSnapshot): Promise<void> {
    const { fileSystem, scheduler } = this.#parts;
    const { incoming } = this.#directory;
    try {
      await checkSnapshot(IncomingSnapshot.filesOf(incoming), arrived.head.snapshot.index, { fileSystem, scheduler });
    } catch (error) {
      // Another one may have come to its place meanwhile.
      if (this.#incoming === arrived) IncomingSnapshot.discard(fileSystem, incoming);
      throw error;
    }
  }

  /** The engine is damaged, and of no use any more: as if it had been found so by `open`. */
  async giveUp(damage: SparrowError, note: DamageNote): Promise<void> {
    this.#directory.noteDamage(note);
    const engine = this.#engine;
    this.#engine = undefined;
    this.#damage = damage;
    await engine?.close().catch(() => undefined);
  }

  /** What arrived last becomes the engine. */
  async install(begin: SnapshotBegin): Promise<HostedEngine> {
    // One that is damaged may not be able to end well; nothing of it is needed.
    const noted = this.#directory.damage !== undefined;
    await this.#engine?.close().catch((error: unknown) => {
      if (!noted) throw error;
    });
    this.#directory.switchTo(begin);
    this.#installed++;
    const engine = await this.#parts.openEngine(this.#directory.engine);
    this.#engine = engine;
    this.#damage = undefined;
    return engine;
  }

  /** Gets a snapshot of entry `least` at least from whoever has one. Returns of which; `install` makes it the engine. */
  receive(parts: MendingParts, least: number): Promise<SnapshotBegin> {
    return new SnapshotMending(parts, least, (head, arrived) => this.accept(head, arrived)).run();
  }

  /** The engine, if there is one. */
  async closeEngine(): Promise<void> {
    await this.#engine?.close();
  }

  /** No snapshot arrives any more. The engine stays open. */
  close(): void {
    this.#incoming?.close();
    this.#incoming = undefined;
  }
}

function givenUp(): SparrowError {
  return new SparrowError('unavailable', 'SNAPSHOT_GIVEN_UP', 'another snapshot came meanwhile');
}
