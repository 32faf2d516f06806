/**
 * What a directory's manifests still say. At best the version; otherwise the facts of every edit whose frame is sound: settings and the like, how
 * far ids and sequence numbers had got, and which tables had been removed, so that a repair does not bring them back.
 */
import type { FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import {
  applyEdit,
  CURRENT_NAME,
  EMPTY_VERSION,
  highestFileId,
  missingFiles,
  parseFileName,
  type RangeTombstone,
  readVersion,
  sameTombstone,
  soundEdits,
  tableName,
  type Version,
  type VersionEdit,
  versionOf,
} from '../manifest/index.ts';
import { Findings } from './findings.ts';
import { readWholeFile } from './read-whole-file.ts';

export interface ManifestFacts {
  /** Without tables and block files; ids and sequence numbers never below the true ones, as far as known. */
  readonly base: Version;
  /** The version as a whole; undefined: nobody knows it any more. */
  readonly version: Version | undefined;
  /** Tables that some edit removed and none added again. */
  readonly removedTables: ReadonlySet<number>;
  /** Keyspaces that some edit dropped. */
  readonly droppedKeyspaces: ReadonlySet<number>;
  /** CURRENT and manifests that are damaged, by name. */
  readonly damaged: readonly string[];
}

export function manifestFacts(fileSystem: FileSystem, directory: string, findings: Findings): ManifestFacts {
  const listing = fileSystem.listSync(directory);
  const known = currentVersion(fileSystem, directory, listing, findings);
  if (known.version) {
    const { version } = known;
    // An id that a file has had is never given again, though no edit may have recorded it.
    const nextFileId = Math.max(version.nextFileId, highestFileId(listing) + 1);
    return {
      base: { ...withoutFiles(version), nextFileId },
      version,
      removedTables: new Set(),
      droppedKeyspaces: new Set(),
      damaged: known.damaged,
    };
  }
  const removedTables = new Set<number>();
  const droppedKeyspaces = new Set<number>();
  let base = EMPTY_VERSION;
  const manifests = manifestsOf(listing);
  for (const { name, id } of manifests) {
    const bytes = readWholeFile(fileSystem, `${directory}/${name}`, findings);
    if (bytes === undefined) continue;
    for (const edit of soundEdits(bytes, id, `${directory}/${name}`)) {
      for (const each of edit.keyspacesDropped ?? []) droppedKeyspaces.add(each);
      for (const { fileId } of edit.tablesRemoved ?? []) removedTables.add(fileId);
      for (const { table } of edit.tablesAdded ?? []) removedTables.delete(table.fileId);
      base = withFacts(base, edit);
    }
  }
  base = applyEdit(base, { nextFileId: Math.max(base.nextFileId, highestFileId(listing) + 1) });
  const names = manifests.map(({ name }) => name);
  return {
    base,
    version: undefined,
    removedTables,
    droppedKeyspaces,
    damaged: listing.includes(CURRENT_NAME) ? [CURRENT_NAME, ...names] : names,
  };
}

/** The version that counts, when it can be told: by CURRENT, or without it by the newest manifest. */
function currentVersion(
  fileSystem: FileSystem,
  directory: string,
  listing: readonly string[],
  findings: Findings,
): { version: Version | undefined; damaged: string[] } {
  const damaged: string[] = [];
  let version: Version | undefined;
  try {
    version = readVersion(fileSystem, directory).version;
  } catch (error) {
    findings.caught(error, `${directory}/${CURRENT_NAME}`);
    // Somebody else's version of the format is not damage: nothing may be made of it.
    if (error instanceof SparrowError && error.code !== 'CORRUPT_MANIFEST') throw error;
    if (listing.includes(CURRENT_NAME)) damaged.push(CURRENT_NAME);
    version = newestVersion(fileSystem, directory, listing);
  }
  // An edit that was lost from the end shows in tables that are gone while others are there that nobody names.
  if (version && lostAnEdit(version, listing)) {
    findings.problem(
      `${directory}/${CURRENT_NAME}`,
      0,
      'the manifest has lost its newest edits: tables that it names are gone, and there are others',
    );
    return { version: undefined, damaged };
  }
  return { version, damaged };
}

function newestVersion(fileSystem: FileSystem, directory: string, listing: readonly string[]): Version | undefined {
  for (const { name, id } of manifestsOf(listing).toReversed()) {
    const path = `${directory}/${name}`;
    const bytes = readWholeFile(fileSystem, path, new Findings());
    if (bytes === undefined) return undefined;
    // One that was begun and never became current holds nothing yet.
    if (soundEdits(bytes, id, path).length === 0) continue;
    try {
      return versionOf(bytes, id, path);
    } catch (error) {
      if (error instanceof SparrowError && error.kind === 'corrupt') return undefined;
      throw error;
    }
  }
  return undefined;
}

function lostAnEdit(version: Version, listing: readonly string[]): boolean {
  if (missingFiles(version, listing).length === 0) return false;
  const named = new Set(version.levels.flat().map(({ fileId }) => tableName(fileId)));
  return listing.some((name) => parseFileName(name)?.kind === 'table' && !named.has(name));
}

function manifestsOf(listing: readonly string[]): { name: string; id: number }[] {
  return listing
    .flatMap((name) => {
      const parsed = parseFileName(name);
      return parsed?.kind === 'manifest' ? [{ name, id: parsed.id }] : [];
    })
    .toSorted((a, b) => a.id - b.id);
}

/** Everything but the files. */
function withoutFiles(version: Version): Version {
  const { levels, segments, referencedBytes } = EMPTY_VERSION;
  return { ...version, levels, segments, referencedBytes };
}

/** Adds what an edit says beside files. Edits in front of it may be missing: only what fits is taken. */
function withFacts(base: Version, edit: VersionEdit): Version {
  const added = (edit.keyspacesAdded ?? []).filter(({ id, name }) => !base.keyspaces.has(id) && !hasName(base, name));
  const scalars = {
    nextFileId: Math.max(edit.nextFileId ?? 0, base.nextFileId),
    lastSequence: Math.max(edit.lastSequence ?? 0, base.lastSequence, ...(edit.rangeTombstonesAdded ?? []).map(({ sequence }) => sequence)),
    logFloor: Math.max(edit.logFloor ?? 0, base.logFloor),
    // A manifest that took another's place says again what that one said.
    rangeTombstonesAdded: (edit.rangeTombstonesAdded ?? []).filter((added) => !hasTombstone(base, added)),
    rangeTombstonesRemoved: (edit.rangeTombstonesRemoved ?? []).filter((removed) => hasTombstone(base, removed)),
    nextKeyspaceId: Math.max(edit.nextKeyspaceId ?? 0, base.nextKeyspaceId, ...added.map(({ id }) => id + 1)),
  };
  return applyEdit(base, {
    ...scalars,
    ...(edit.settings && { settings: edit.settings }),
    keyspacesAdded: added,
    keyspacesAltered: (edit.keyspacesAltered ?? []).filter(({ id }) => base.keyspaces.has(id)),
    keyspacesDropped: (edit.keyspacesDropped ?? []).filter((id) => base.keyspaces.has(id)),
    keyspaceRules: (edit.keyspaceRules ?? []).filter(({ id }) => base.keyspaces.has(id) || added.some((keyspace) => keyspace.id === id)),
  });
}

function hasTombstone(version: Version, tombstone: RangeTombstone): boolean {
  return version.rangeTombstones.some((each) => sameTombstone(each, tombstone));
}

function hasName(version: Version, name: string): boolean {
  return version.keyspaces.values().some((keyspace) => keyspace.name === name);
}
