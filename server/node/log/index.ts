/** The log of a node, shared by its groups: node-log.ts is the place to start. */
export { NodeLog, type NodeLogOptions, type NodeLogStats } from './node-log.ts';
export type { DataPlace, GroupContents, GroupDamage, GroupLog } from './group-log.ts';
export type { IndexRange } from './group-state.ts';
export { type Hash64, segmentName } from './log-format.ts';
export type { LogDamage } from './recovery.ts';
