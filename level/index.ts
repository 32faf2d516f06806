/** SparrowKV for everything that is written for Level: `import { SparrowLevel } from 'sparrowkv/level'`. */
export { SparrowLevel } from './level.ts';
export type {
  BatchOptions,
  ChainedBatch,
  ChainedBatchWriteOptions,
  DelOptions,
  EngineOptions,
  OpenOptions,
  PutOptions,
  SparrowLevelOptions,
  SyncOption,
} from './options.ts';
export type { EngineComponents, EngineSettingsInput, EngineMetrics } from '../engine/index.ts';
export { SparrowError } from '../engine/index.ts';
