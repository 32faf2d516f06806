/**
 * Engines of a replica, one after another, and the snapshots between members: a checkpoint of the engine is what is sent, and what arrives
 * becomes the engine. The directory sees to crashes (group-directory.ts), the transport to transfers (server/transport).
 *
 * Used by replica.ts. Calls the engine, group-directory.ts and server/transport.
 */
import type { FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { Engine } from '../../engine/index.ts';
import type { Snapshot } from '../raft/index.ts';
import {
  DirectorySource,
  IncomingSnapshot,
  type RunningHash64,
  type SnapshotHead,
  type SnapshotSink,
  type SnapshotSource,
} from '../transport/index.ts';
import { GroupDirectory, type SnapshotBegin } from './group-directory.ts';
import type { Hash64 } from './log/index.ts';
import type { MendingParts } from './log-mending.ts';
import { SnapshotMending } from './snapshot-mending.ts';

export interface ReplicaStoreParts {
  readonly fileSystem: FileSystem;
  /** Of the group, on this node. */
  readonly directory: string;
  readonly openEngine: (path: string) => Promise<Engine>;
  readonly hash: Hash64;
  readonly createHash: () => RunningHash64;
}

export class ReplicaStore {
  readonly #parts: ReplicaStoreParts;
  readonly #directory: GroupDirectory;
  #engine: Engine;
  #incoming: IncomingSnapshot | undefined;
  #sending = false;
  #sent = 0;
  #installed = 0;

  static async open(parts: ReplicaStoreParts): Promise<ReplicaStore> {
    const directory = new GroupDirectory(parts.fileSystem, parts.directory, parts.hash);
    return new ReplicaStore(parts, directory, await parts.openEngine(directory.engine));
  }

  private constructor(parts: ReplicaStoreParts, directory: GroupDirectory, engine: Engine) {
    this.#parts = parts;
    this.#directory = directory;
    this.#engine = engine;
  }

  get engine(): Engine {
    return this.#engine;
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
   * Sends the state of now. `snapshot` describes it: nothing is applied between that and the call. `id` tells it from every other. Settles when the other
   * side has it.
   */
  async send(term: number, snapshot: Snapshot, id: string, transfer: (source: SnapshotSource) => Promise<void>): Promise<void> {
    this.#sending = true;
    try {
      const { fileSystem } = this.#parts;
      const { outgoing } = this.#directory;
      await this.#engine.checkpoint(outgoing);
      // A lock's files are no part of the store.
      const names = fileSystem.listSync(outgoing).filter((name) => !name.startsWith('LOCK'));
      const source = new DirectorySource(fileSystem, outgoing, { term, snapshot, id }, names);
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

  /** Where a snapshot may go. What arrived of another one before is given up. `arrived` is called when it is whole and durable. */
  async accept(head: SnapshotHead, arrived: () => void): Promise<SnapshotSink> {
    const { fileSystem, hash, createHash } = this.#parts;
    this.#incoming?.close();
    this.#incoming = undefined;
    const incoming = await IncomingSnapshot.open({ fileSystem, directory: this.#directory.incoming, hash, createHash }, head);
    this.#incoming = incoming;
    return {
      get position() {
        return incoming.position;
      },
      write: (bytes) => incoming.write(bytes),
      endFile: (check) => incoming.endFile(check),
      finish: async () => {
        await incoming.finish();
        if (this.#incoming !== incoming) throw new SparrowError('unavailable', 'SNAPSHOT_GIVEN_UP', 'another snapshot came meanwhile');
        this.#incoming = undefined;
        arrived();
      },
      close: () => {
        incoming.close();
        if (this.#incoming === incoming) this.#incoming = undefined;
      },
    };
  }

  /** What arrived last becomes the engine. */
  async install(begin: SnapshotBegin): Promise<Engine> {
    await this.#engine.close();
    this.#directory.switchTo(begin);
    this.#installed++;
    this.#engine = await this.#parts.openEngine(this.#directory.engine);
    return this.#engine;
  }

  /** Gets a snapshot of entry `least` at least from whoever has one. Returns of which; `install` makes it the engine. */
  receive(parts: MendingParts, least: number): Promise<SnapshotBegin> {
    return SnapshotMending.run(parts, least, (head, arrived) => this.accept(head, arrived));
  }

  /** No snapshot arrives any more. The engine stays open. */
  close(): void {
    this.#incoming?.close();
    this.#incoming = undefined;
  }
}
