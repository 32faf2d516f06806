/**
 * Makes the replica of a shard that is split off, on the node of its parent, without copying anything: files of the parent's engine get a second name in the
 * directory of the child's group, values that lie in the node's log among them.
 *
 *   1  what an attempt that died has left goes
 *   2  groups/CHILD/beginning: what the child is (replica-beginning.ts)
 *   3  a checkpoint of the parent's engine as of the entry before the split, in groups/CHILD/a/files         all of it hard links but for the manifest
 *   4  groups/CHILD/current: the child is there. Its log begins behind the split, as after a snapshot (group-directory.ts)
 *
 * 1 and 2 are done when the split is prepared, as far as it is. Each is durable before the next, and before the split counts in the parent. A crash before 4 leaves what 1 clears away when the split is applied again; after 4 there is nothing left to do.
 *
 * The engine of such a child lacks one batch, that of the split's own index: the child's descriptor, and a range delete of what it does not get. Opening the replica writes it (`firstBatch`), and
 * again after each crash until it is in tables, so that nobody waits here for another flush.
 * A shard that was here and was destroyed is not made again: its log says so.
 *
 * A segment of the node's log that the child's engine leads into belongs to it like a file of its own (engine/upkeep/without-host.ts): the log may drop the segment, and
 * does not write over a file that has another name.
 *
 * Called by shard-changes.ts, and by replica-opening.ts. Calls the engine and group-directory.ts.
 */
import type { FileSystem } from '../../base/env.ts';
import type { HostedEngine, HostedOperation } from '../../engine/index.ts';
import { decodeDescriptor, encodeDescriptor, type ShardDescriptor } from '../shard/descriptor.ts';
import { isGroup, NewGroup, type SnapshotBegin } from './group-directory.ts';
import type { Hash64 } from './log/index.ts';
import { writeBeginning } from './replica-beginning.ts';
import type { ShardBirths } from './shard-changes.ts';
import { deletionOfOthers } from './shard-ranges.ts';
import { DESCRIPTOR_KEY } from './shard-records.ts';

export interface ChildMakerParts {
  readonly fileSystem: FileSystem;
  readonly hash: Hash64;
  /** Of a group, on this node. */
  readonly directoryOf: (group: number) => string;
  /** Whether a replica of the group was destroyed here once. */
  readonly isRetired: (group: number) => boolean;
  /** A child may be opened now; may be told again of one that runs, and of one that was destroyed. */
  readonly made: (child: ShardDescriptor, campaign: boolean) => void;
}

export class ChildMaker implements ShardBirths {
  readonly #parts: ChildMakerParts;
  readonly #making: Set<number> = new Set();
  /** Children of which 1 and 2 are durable, and what is in `beginning`. */
  readonly #prepared: Map<number, Buffer> = new Map();

  constructor(parts: ChildMakerParts) {
    this.#parts = parts;
  }

  /** Nobody else may make a replica of the group now. */
  isMaking(group: number): boolean {
    return this.#making.has(group);
  }

  async make(child: ShardDescriptor, begin: SnapshotBegin, parent: HostedEngine): Promise<void> {
    const { fileSystem, directoryOf, isRetired } = this.#parts;
    const directory = directoryOf(child.shard);
    if (isRetired(child.shard)) return;
    if (isGroup(fileSystem, directory)) {
      // It may be in the system's cache only, and what comes now is not done again.
      fileSystem.syncDirectorySync(directory);
      return;
    }
    this.#making.add(child.shard);
    try {
      const group = this.#begin(child);
      await parent.checkpoint(group.files);
      group.finish(begin);
    } finally {
      this.#making.delete(child.shard);
      this.#prepared.delete(child.shard);
    }
  }

  /** 1 and 2, when nobody writes yet; left as they are when the split never comes. */
  prepare(child: ShardDescriptor): void {
    const { fileSystem, directoryOf, isRetired } = this.#parts;
    if (this.#making.has(child.shard) || isRetired(child.shard) || isGroup(fileSystem, directoryOf(child.shard))) return;
    try {
      this.#begin(child);
    } catch {
      this.#prepared.delete(child.shard);
    }
  }

  #begin(child: ShardDescriptor): NewGroup {
    const { fileSystem, hash, directoryOf } = this.#parts;
    const directory = directoryOf(child.shard);
    const group = new NewGroup(fileSystem, directory, hash);
    const beginning = encodeDescriptor(child);
    if (this.#prepared.get(child.shard)?.equals(beginning) !== true) {
      writeBeginning(fileSystem, directory, { descriptor: child, voters: [] }, hash);
      this.#prepared.set(child.shard, beginning);
    }
    return group;
  }

  made(child: ShardDescriptor, campaign: boolean): void {
    this.#parts.made(child, campaign);
  }
}

/** What the engine of a child lacks, which was made as of the entry before the split: the batch of the split's own index. Undefined: it has it. */
export function firstBatch(engine: HostedEngine, child: ShardDescriptor): HostedOperation[] | undefined {
  const found = engine.getSync(DESCRIPTOR_KEY);
  if (found === undefined || decodeDescriptor(found).shard === child.shard) return undefined;
  return [...deletionOfOthers(child.keys), { type: 'put', key: DESCRIPTOR_KEY, value: encodeDescriptor(child) }];
}
