/** What a campaign is expected to reach, by the names under which runs count: kinds of faults, and branches that are rarely taken. What was never reached was not tested. */
import { DECEITS } from './fault-plan.ts';
import { MOMENTS } from './moments.ts';
import { CRASH_MODES } from './sim-file.ts';

export interface Setting {
  /** Of the cluster; 0: single servers. */
  readonly nodes: number;
  /** Members come and go. */
  readonly changing: boolean;
  /** Its keys are divided among shards. */
  readonly shards?: boolean;
  /** It runs itself. */
  readonly metaserver?: boolean;
}

const ALWAYS: readonly string[] = [
  'end',
  'end-at-operation',
  'ended in an operation',
  'process ended',
  ...CRASH_MODES.map((mode) => `power lost: ${mode}`),
  'pause',
  'partition',
  'partition one-way',
  'sever',
  'mute',
  'slow-links',
  'clock-jump',
  'clock-drift',
  'slow-disk',
  'full-disk',
  'disk EIO',
  'disk ENOSPC',
  'disk short',
  'disk read EIO',
  'exit: disk',
  'upkeep flush',
  'upkeep compact',
  'flushes',
  'compactions',
  'entries replayed',
  'logs cut',
  'logs of several segments',
  'sent again',
  'outcome unknown',
];

const OF_GROUPS: readonly string[] = [
  'end-several',
  'transfer',
  ...MOMENTS.map((moment) => `ended at ${moment}`),
  'leads begun',
  'leads lost',
  'entries fetched',
  'reads of followers',
  'reads within their age',
  'snapshots sent',
  'snapshots installed',
  'writes answered early',
  'groups asleep',
  'messages dropped',
  'messages doubled',
  'messages reordered',
  'answer: rerouted',
  'answer: unavailable',
  'sdk: sent again',
  'sdk: refused',
  'sdk: outcome unknown',
  'sent: pre-vote asked',
  'sent: pre-vote granted',
  'sent: pre-vote refused',
  'sent: vote asked',
  'sent: vote asked by force',
  'sent: vote granted',
  'sent: vote refused',
  'sent: append refused',
  'sent: entries of an older term',
  'sent: group goes to sleep',
  'sent: timeout-now',
];

const OF_SHARDS: readonly string[] = [
  ...['split', 'split by hash', 'merged', 'merged by hash', 'moved', 'transferred', 'merge cut off', 'not split'].map(
    (what) => `shards: ${what}`,
  ),
  ...['unseal', 'destroy-replica', 'create-replica'].map((order) => `shards: tidied by ${order}`),
  ...['WRONG_SHARD', 'NO_REPLICA', 'NOT_LEADER', 'SHARD_SEALED'].map((code) => `refused: ${code}`),
  'ended at child',
  'shards serving, seen',
  'snapshots installed',
  'writes answered early',
];

const OF_METASERVER: readonly string[] = [
  'lose',
  'ended at child',
  'end-several',
  'partition of a zone',
  'partition of a zone one-way',
  'partition of the metaserver',
  'partition of the metaserver one-way',
  ...[
    'split',
    'merge',
    'move',
    'transfer',
    'drain',
    'undrain',
    'decommission',
    'cancel',
    'create table',
    'drop table',
    'undelete table',
  ].map((wish) => `people: ${wish}`),
  ...['split', 'merge', 'move', 'transfer', 'lead', 'balance', 'repair', 'rule', 'drain', 'tidy', 'create', 'drop'].map(
    (kind) => `operator: ${kind} done`,
  ),
  ...['split', 'merge', 'move', 'repair'].flatMap((kind) => [`operator: ${kind} failed`, `operator: ${kind} cancelled`]),
  ...['WRONG_SHARD', 'NO_REPLICA', 'NOT_LEADER'].map((code) => `refused: ${code}`),
  'sdk: sent again',
  'shards serving, seen',
  'snapshots installed',
  'writes answered early',
];

const OF_FIXED_GROUPS: readonly string[] = [
  ...DECEITS.map((deceit) => `disk ${deceit}`),
  'machine lost',
  'engine-damage',
  'engines repaired',
];

const OF_CHANGING_GROUPS: readonly string[] = [
  ...['learner added', 'promoted', 'demoted', 'removed', 'replaced', 'two replaced', 'transferred', 'not changed'].map(
    (what) => `members: ${what}`,
  ),
  'sent: change of members',
  'sent: has no configuration',
];

export function expectedCounters({ nodes, changing, shards = false, metaserver = false }: Setting): readonly string[] {
  if (metaserver) return [...ALWAYS, ...OF_METASERVER];
  if (shards) return [...ALWAYS, ...OF_SHARDS];
  if (nodes < 3) return ALWAYS;
  return [...ALWAYS, ...OF_GROUPS, ...(changing ? OF_CHANGING_GROUPS : OF_FIXED_GROUPS)];
}
