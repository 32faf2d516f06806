/** What the metaserver says of the cluster, as tables that a person can read. */
import type { ClusterSurvey, SurveyedOperator, SurveyedShard } from '../../client/index.ts';
import { formatAge } from '../meta-command.ts';
import { escapeBytes } from './escape.ts';
import { formatBytes, formatCount, plural } from './progress.ts';
import { table } from './columns.ts';

/** Longer keys are cut: a line is to stay a line. */
const KEY_CHARACTERS_MAX = 24;
/** The metaserver's own: no client's. */
const SYSTEM_TABLE = 0;
const LEARNER = 2;
const WITNESS = 3;

export function nodesText({ clusterId, leader, term, nowMs, nodes, pausedBecause }: ClusterSurvey): string {
  const rows = nodes.map((node) => {
    const { entry, state, sinceMs, diskUsedBytes, capacityBytes, cpu, replicas, leaders, readsPerSecond, writesPerSecond } = node;
    return [
      String(entry!.node),
      entry!.zone,
      entry!.pool,
      entry!.role,
      state === 'up' ? state : `${state.toUpperCase()} ${age(nowMs, sinceMs)}`,
      entry!.address || '-',
      capacityBytes === 0 ? formatBytes(diskUsedBytes) : `${formatBytes(diskUsedBytes)} of ${formatBytes(capacityBytes)}`,
      `${Math.round(cpu * 100)} %`,
      String(replicas),
      String(leaders),
      rate(readsPerSecond),
      rate(writesPerSecond),
    ];
  });
  const head = ['node', 'zone', 'pool', 'role', 'state', 'address', 'disk', 'cpu', 'replicas', 'leads', 'reads/s', 'writes/s'];
  const paused = pausedBecause === '' ? '' : `nothing new is decided: ${pausedBecause}\n`;
  return `cluster ${clusterId || '(a node alone)'}: node ${leader} leads the metaserver in term ${formatCount(term)}\n${paused}\n${table(head, rows)}`;
}

export function shardsText({ tables }: ClusterSurvey, shards: readonly SurveyedShard[], limit: number): string {
  const names = new Map([[SYSTEM_TABLE, 'system'], ...tables.map(({ table: id, name }) => [id, name] as const)]);
  const rows = shards.slice(0, limit).map((shard) => {
    const { entry, replicas, dataBytes, keysCount, readsPerSecond, writesPerSecond, operator, byHand } = shard;
    const notes = [
      ...(entry!.leader === 0 ? ['NO LEADER'] : []),
      ...(entry!.state === 'normal' ? [] : [entry!.state]),
      ...(byHand ? ['by hand'] : []),
      ...(operator === '' ? [] : [`operator ${operator}`]),
    ];
    return [
      String(entry!.shard),
      names.get(entry!.table) ?? `table ${entry!.table}`,
      keysText(shard),
      String(entry!.epoch),
      replicas
        .map(({ node, kind }) => `${node}${node === entry!.leader ? '*' : kind === LEARNER ? '+' : kind === WITNESS ? '-' : ''}`)
        .join(' '),
      formatBytes(dataBytes),
      formatCount(keysCount),
      rate(readsPerSecond),
      rate(writesPerSecond),
      notes.join(', ') || '-',
    ];
  });
  const head = ['shard', 'table', 'keys', 'epoch', 'replicas', 'size', 'entries', 'reads/s', 'writes/s', 'notes'];
  const rest = shards.length > limit ? `\n${plural(shards.length - limit, 'more shard')}; --limit shows them\n` : '';
  return `${plural(shards.length, 'shard')}\n\n${table(head, rows)}${rest}`;
}

export function operatorsText({ nowMs, operators }: ClusterSurvey, ended: readonly SurveyedOperator[]): string {
  const parts = [operators.length === 0 ? 'nothing is under way\n' : operators.map((operator) => operatorText(operator, nowMs)).join('\n')];
  if (ended.length > 0) {
    const rows = ended.map(({ id, kind, shard, state, note, reason, endedMs }) => [
      id,
      kind,
      String(shard),
      state === 'done' ? state : state.toUpperCase(),
      `${age(nowMs, endedMs)} ago`,
      note === '' ? reason : `${note} (${reason})`,
    ]);
    parts.push('ended:\n', table(['operator', 'kind', 'shard', 'state', 'when', 'why'], rows));
  }
  return parts.join('\n');
}

/** One operator with its steps. */
export function operatorText({ id, kind, shard, reason, by, steps, beganMs, note }: SurveyedOperator, nowMs: number): string {
  const marks: Readonly<Record<string, string>> = { done: 'x', running: '>', failed: '!', skipped: '-' };
  const head = `${id === '' ? kind : `${id} ${kind}`} of shard ${shard}${beganMs === 0 ? '' : `, for ${age(nowMs, beganMs)}`}: ${reason}`;
  const who = by === '' || by === 'policy' ? '' : ` (asked for by ${by})`;
  const lines = steps.map(({ what, state }) => `  [${marks[state] ?? ' '}] ${what}\n`);
  return `${head}${who}\n${lines.join('')}${note === '' ? '' : `  ${note}\n`}`;
}

export function planText({ plan, pausedBecause }: ClusterSurvey): string {
  if (pausedBecause !== '') return `nothing is planned: ${pausedBecause}\n`;
  if (plan.length === 0) return 'nothing is to be done: the cluster is as it should be\n';
  return plan
    .map(({ kind, shard, reason, steps }) => `${kind} of shard ${shard}: ${reason}\n${steps.map((step) => `  ${step}\n`).join('')}`)
    .join('\n');
}

function keysText({ entry }: SurveyedShard): string {
  const keys = entry!.keys?.keys;
  if (keys === undefined) return '?';
  if (keys.$case === 'hash') {
    const { bits, index } = keys.value;
    return bits === 0 ? 'all' : `hash ...${index.toString(2).padStart(bits, '0')}`;
  }
  const { start, end } = keys.value;
  if (start.length === 0 && end === undefined) return 'all';
  return `${start.length === 0 ? '' : shown(start)} .. ${end === undefined ? '' : shown(end)}`.trim();
}

function shown(key: Uint8Array): string {
  const text = escapeBytes(key);
  return text.length > KEY_CHARACTERS_MAX ? `${text.slice(0, KEY_CHARACTERS_MAX)}...` : text;
}

function rate(perSecond: number): string {
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : formatCount(Math.round(perSecond));
}

function age(nowMs: number, ms: number): string {
  return ms === 0 ? '-' : formatAge(nowMs - ms);
}
