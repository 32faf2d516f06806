/**
 * The version that a repair comes to, in the making: tables that stay and those that it writes, range tombstones out of the log, keyspaces whose
 * names are lost, and the block files that all of that needs. Filled by repair.ts; changes nothing on the disk.
 */
import type { FileSystem } from '../../base/env.ts';
import { BLOCK_HEADER_BYTES, valueFilePath } from '../compaction/index.ts';
import { DEFAULT_KEYSPACE } from '../keyspace-key.ts';
import {
  type AddedKeyspace,
  type AddedSegment,
  type AddedTable,
  applyEdit,
  linkName,
  type RangeTombstone,
  sameTombstone,
  type Version,
} from '../manifest/index.ts';
import type { TableMeta } from '../table/index.ts';
import type { ManifestFacts } from './manifest-facts.ts';

export class RepairedVersion {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #facts: ManifestFacts;
  readonly #tables: AddedTable[] = [];
  /** Found in the log. */
  readonly #rangeTombstones: RangeTombstone[] = [];
  /** Those that entries belong to. */
  readonly #keyspaces = new Set<number>();
  #kept = 0;
  #made = 0;

  constructor(fileSystem: FileSystem, directory: string, facts: ManifestFacts) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#facts = facts;
  }

  get tablesKept(): number {
    return this.#kept;
  }
  get tablesMade(): number {
    return this.#made;
  }

  /** A table that stays as it is. */
  keep(level: number, table: TableMeta): void {
    this.#kept++;
    this.#tables.push({ level, table });
  }

  /** A table that the repair has written. */
  make(level: number, table: TableMeta): void {
    this.#made++;
    this.#tables.push({ level, table });
  }

  addKeyspace(id: number): void {
    this.#keyspaces.add(id);
  }

  addRangeTombstone(tombstone: RangeTombstone): void {
    const known = [...this.#facts.base.rangeTombstones, ...this.#rangeTombstones];
    if (!known.some((each) => sameTombstone(each, tombstone))) this.#rangeTombstones.push(tombstone);
  }

  /** `nextFileId`: the first that was never given; `keepsLog`: the log stays as it is. */
  version(nextFileId: number, keepsLog: boolean): Version {
    const { base } = this.#facts;
    const logFloor = keepsLog ? base.logFloor : Math.max(base.logFloor, nextFileId);
    const sequences = [...this.#tables.map(({ table }) => table.maxSequence), ...this.#rangeTombstones.map(({ sequence }) => sequence)];
    const keyspacesAdded = this.unnamedKeyspaces();
    return applyEdit(base, {
      nextFileId,
      lastSequence: sequences.reduce((last, sequence) => Math.max(last, sequence), base.lastSequence),
      logFloor,
      tablesAdded: this.#tables,
      rangeTombstonesAdded: this.#rangeTombstones,
      segmentsAdded: this.#segments(logFloor),
      keyspacesAdded,
      nextKeyspaceId: Math.max(base.nextKeyspaceId, ...keyspacesAdded.map(({ id }) => id + 1)),
    });
  }

  /** Keyspaces that have entries and whose names are lost; not those that were dropped. */
  unnamedKeyspaces(): AddedKeyspace[] {
    const { base, version, droppedKeyspaces } = this.#facts;
    const isLost = (id: number): boolean =>
      // A manifest that is whole but for its end has told of those that were dropped, and of no later one.
      version === undefined ? !base.keyspaces.has(id) && !droppedKeyspaces.has(id) : id >= version.nextKeyspaceId;
    const lost = [...this.#keyspaces].filter((id) => id !== DEFAULT_KEYSPACE && isLost(id));
    const taken = new Set([...base.keyspaces.values()].map(({ name }) => name));
    return lost
      .toSorted((a, b) => a - b)
      .map((id) => {
        let name = `recovered-${id}`;
        while (taken.has(name)) name += '+';
        return { id, name, settings: {} };
      });
  }

  /** The block files of the new version: whatever its tables refer to, but for a log that goes on. */
  #segments(logFloor: number): AddedSegment[] {
    const known = this.#facts.version?.segments;
    const referred = new Set(this.#tables.flatMap(({ table }) => table.references.map(({ segment }) => segment)));
    return [...referred]
      .filter((segment) => segment < logFloor || known?.has(segment))
      .map((segment) => {
        const path = valueFilePath(this.#fileSystem, this.#directory, segment);
        const size = this.#sizeOf(path);
        const was = known?.get(segment);
        if (!path.endsWith(linkName(segment))) return { segment, bytes: Math.min(size, was?.bytes ?? size) };
        const link = { hostSegment: was?.link?.hostSegment ?? 0, end: Math.min(size, was?.link?.end ?? size) };
        return { segment, bytes: was?.bytes ?? BLOCK_HEADER_BYTES + this.#referredBytes(segment), link };
      });
  }

  #referredBytes(segment: number): number {
    const references = this.#tables.flatMap(({ table }) => table.references);
    return references.reduce((sum, reference) => sum + (reference.segment === segment ? reference.bytes : 0), 0);
  }

  #sizeOf(path: string): number {
    const file = this.#fileSystem.openSync(path, 'read');
    try {
      return file.sizeSync();
    } finally {
      file.closeSync();
    }
  }
}
