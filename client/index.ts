/** The SDK of SparrowKV's gRPC server: `import { connect } from 'sparrowkv/client'`. The only way in to this folder. */
export { connect } from './connect.ts';
export {
  type AdminOptions,
  ClusterAdmin,
  type ClusterRecoveryPlan,
  type ClusterStatus,
  connectAdmin,
  type MembersChange,
} from './admin.ts';
export {
  type ClusterOperation,
  type ClusterSurvey,
  type ClusterPolicyBound,
  connectMeta,
  MetaAdmin,
  type SurveyedOperator,
  type SurveyedShard,
  type TableFacts,
} from './meta.ts';
export { connectTables, TableCalls } from './table-calls.ts';
export { ConditionFailedError } from '../base/condition-failed.ts';
export type {
  Batch,
  Bytes,
  CallOptions,
  Client,
  ConnectOptions,
  CreateTableOptions,
  DeleteRangeResult,
  Entry,
  KeyValues,
  Limits,
  Partitioning,
  RangeOptions,
  ReadOptions,
  ScanOptions,
  ServerStatus,
  Table,
  TableInfo,
  Tables,
  TableQuotas,
  TableSettings,
  TlsOptions,
  VersionedValue,
  WriteResult,
} from './api.ts';
export { SparrowError, type ErrorDetails, type ErrorKind } from '../base/errors.ts';
