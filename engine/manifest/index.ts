export {
  CURRENT_NAME,
  EXTERNAL_ID_FROM,
  highestFileId,
  linkName,
  INCOMPLETE_NAME,
  logName,
  manifestName,
  parseFileName,
  tableName,
  type FileKind,
  type ParsedName,
} from './file-names.ts';
export { Manifest, type ManifestOptions } from './manifest.ts';
export { readVersion, soundEdits, versionOf, type FoundVersion } from './read-manifest.ts';
export { decodeCurrent, decodeManifest, type DecodedManifest } from './manifest-format.ts';
export { applyEdit, VersionBuilder } from './version-builder.ts';
export { SegmentMap } from './segment-map.ts';
export { firstAbove, firstReaching, reachesRun, runWithin } from './sorted-run.ts';
export {
  EMPTY_VERSION,
  logLeft,
  missingFiles,
  obsoleteFiles,
  segmentsToReplay,
  snapshotEdit,
  type BlockFile,
  type KeyspaceMeta,
  type Version,
} from './version.ts';
export { hidesAllOf, hidesIn, reaches, sameTombstone, spentTombstones, tablesUnder, type RangeTombstone } from './range-tombstone.ts';
export { LEVELS_MAX } from './edit-fields.ts';
export type { AddedTable } from './table-fields.ts';
export {
  decodeEdit,
  encodeEdit,
  FORMAT_VERSION,
  type AddedKeyspace,
  type AddedSegment,
  type AlteredKeyspace,
  type HostLink,
  type TablePlace,
  type VersionEdit,
} from './version-edit.ts';
