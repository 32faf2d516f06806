/** The one module: everything the host calls. `--runtime stub`, no managed objects, no imports but the memory. */
export { checksumInto } from './checksum';
export { memtableInit, memtablePut, memtableInsert, memtableFind } from './memtable';
export { memtableClear } from './memtable-clear';
export { leafRecord } from './radix-node';
export { memtableReplay } from './frame-replay';
export { memtableSeek, memtableNext, memtableSeekReverse, memtablePrevious } from './memtable-iterator';
export { sealFrame, checkFrame, checkRecords, sealPointer, checkPointer, nextPointer, findSyncedFrame } from './frame';
export { builderBegin, builderRewind, builderMove, builderPut, builderFinish } from './page-builder';
export { filterBlocks, filterBuild, filterCount, filterPage, filterUnpack } from './filter';
export { tableArrayBytes, tableOpen, tableOpenPaged, tableFindPage } from './table-index';
export { indexPack, indexUnpack } from './index-pages';
export { pagePack, pageSealPacked, pageUnpack } from './page-pack';
export { lz4Compress, lz4Decompress } from './lz4';
export { pageFindKey } from './page-search';
export { pageHashes } from './page-hashes';
export {
  cacheArrayBytes,
  cacheInit,
  cacheBind,
  cacheDropTable,
  cacheToArray,
  cacheToBuckets,
  cachedFrame,
  frameOf,
  frameOfScan,
  pageLoaded,
  pageLink,
} from './page-cache';
export { lookup, lookupResume } from './lookup';
export { flushBegin, flushStep, flushKeptUnder } from './flush';
export { rangeNewestOf, rangeAboveOf, rangeHidesAllOf } from './range-tombstones';
export { scanOpen, scanNext, scanClose } from './scan';
export {
  mergeInput,
  mergeFeed,
  mergeBegin,
  mergeBounds,
  mergeOutput,
  mergeStep,
  mergeRelocated,
  mergeDropped,
  mergeTakeKeptUnder,
  mergeRules,
  mergeLeftOut,
  mergeTakeSpared,
  pagesVerify,
} from './merge';
export { segmentEntry } from './segment-table';
export { valueCacheInit, valueCacheFind, valueCacheReserve, valueCacheCommit, valueCacheDrop } from './value-cache';
