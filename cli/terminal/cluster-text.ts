/** What the metaserver says of the cluster, as tables that a person can read. */
import type { ClusterSurvey, SurveyedOperator, SurveyedShard } from '../../client/index.ts';
import { formatAge } from '../meta-command.ts';
import { escapeBytes } from './escape.ts';
import { formatBytes, formatCount, plural } from './progress.ts';
import { table } from './columns.ts';

/** Longer keys are cut: a line is to stay a line. */
const KEY_CHARACTERS_MAX = 24;
/** Syncs of a node's log that take so many times as long as usual are worth a word. */
const SLOW_FROM = 2;
/** States of which it is known since when. */
const AGED: ReadonlySet<string> = new Set(['suspect', 'down']);
/** The metaserver's own: no client's. */
const SYSTEM_TABLE = 0;
/** Further ones are counted. */
const NAMED_MAX = 12;
/** Of cores and disks: what the policy begins with. */
const BUSY_FROM = 0.75;
const LEARNER = 2;
const WITNESS = 3;

export function nodesText({ clusterId, leader, term, nowMs, nodes, pausedBecause }: ClusterSurvey): string {
  const rows = nodes.map((node) => {
    const { entry, cpu, ioBytesPerSecond, replicas, leaders, readsPerSecond, writesPerSecond } = node;
    return [
      String(entry!.node),
      entry!.zone,
      entry!.pool,
      entry!.role,
      stateText(node, nowMs),
      entry!.address || '-',
      diskText(node),
      `${formatBytes(ioBytesPerSecond)}/s`,
      percent(cpu),
      String(replicas),
      String(leaders),
      rate(readsPerSecond),
      rate(writesPerSecond),
    ];
  });
  const head = ['node', 'zone', 'pool', 'role', 'state', 'address', 'disk', 'disk i/o', 'cpu', 'replicas', 'leads', 'reads/s', 'writes/s'];
  const paused = pausedBecause === '' ? '' : `nothing new is decided: ${pausedBecause}\n`;
  return `cluster ${clusterId || '(a node alone)'}: node ${leader} leads the metaserver in term ${formatCount(term)}\n${paused}\n${table(head, rows)}`;
}

export function shardsText({ tables }: ClusterSurvey, shards: readonly SurveyedShard[], limit: number): string {
  const names = new Map([[SYSTEM_TABLE, 'system'], ...tables.map(({ table: id, name }) => [id, name] as const)]);
  const relaxed = new Set(tables.filter(({ durability }) => durability === 'os').map(({ table: id }) => id));
  const rows = shards.slice(0, limit).map((shard) => {
    const { entry, replicas, dataBytes, keysCount, readsPerSecond, writesPerSecond, operator, byHand } = shard;
    const notes = [
      ...(entry!.leader === 0 ? ['NO LEADER'] : []),
      ...(entry!.state === 'normal' ? [] : [entry!.state]),
      ...(byHand ? ['by hand'] : []),
      ...replicas.filter(({ failedBecause }) => failedBecause !== '').map(({ node, role }) => `node ${node} ${role.toUpperCase()}`),
      ...(relaxed.has(entry!.table) ? ['durability os'] : []),
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
    const rows = ended.map(({ id, kind, shard, state, note, reason, by, endedMs }) => [
      id,
      kind,
      String(shard),
      state === 'done' ? state : state.toUpperCase(),
      `${age(nowMs, endedMs)} ago`,
      `${note === '' ? reason : `${note} (${reason})`}${askedFor(by)}`,
    ]);
    parts.push('ended:\n', table(['operator', 'kind', 'shard', 'state', 'when', 'why'], rows));
  }
  return parts.join('\n');
}

/** One operator with its steps. */
export function operatorText({ id, kind, shard, reason, by, steps, beganMs, note }: SurveyedOperator, nowMs: number): string {
  const marks: Readonly<Record<string, string>> = { done: 'x', running: '>', failed: '!', skipped: '-' };
  const head = `${id === '' ? kind : `${id} ${kind}`} of shard ${shard}${beganMs === 0 ? '' : `, for ${age(nowMs, beganMs)}`}: ${reason}`;
  const lines = steps.map(({ what, state }) => `  [${marks[state] ?? ' '}] ${what}\n`);
  return `${head}${askedFor(by)}\n${lines.join('')}${note === '' ? '' : `  ${note}\n`}`;
}

export function planText({ plan, pausedBecause, blocked, nodes }: ClusterSurvey): string {
  if (pausedBecause !== '') return `nothing is planned: ${pausedBecause}\n`;
  if (plan.length === 0 && blocked.length === 0) {
    const busy = busyText(nodes);
    return busy === '' ? 'nothing is to be done: the cluster is as it should be\n' : `nothing is to be done now\n${busy}`;
  }
  const would = plan.map(
    ({ kind, shard, reason, steps }) => `${kind} of shard ${shard}: ${reason}\n${steps.map((step) => `  ${step}\n`).join('')}`,
  );
  const cannot = blocked.length === 0 ? [] : [`should be done, and cannot be now:\n${byReason(blocked)}`];
  return [...would, ...cannot].join('\n');
}

/** Who is busy gets nothing to be even with others, so the plan may be empty though they are not. */
function busyText(nodes: ClusterSurvey['nodes']): string {
  const busy = nodes.filter(({ cpu, io }) => cpu >= BUSY_FROM || io >= BUSY_FROM);
  if (busy.length === 0) return '';
  const named = busy.slice(0, NAMED_MAX).map(({ entry, cpu, io }) => `node ${entry!.node} (cores ${percent(cpu)}, disk ${percent(io)})`);
  const more = busy.length > named.length ? ` and ${formatCount(busy.length - named.length)} more` : '';
  return `busy, and given nothing for the sake of balance until they are less so: ${named.join(', ')}${more}\n`;
}

/** What becomes of the replicas of a node that drains or is decommissioned, or would. */
export function departureText(node: number, replicas: readonly SurveyedOperator[], dryRun: boolean): string {
  if (replicas.length === 0) return `node ${node} has no replica\n`;
  const goes = replicas.filter(({ note }) => note === '');
  const stays = replicas.filter(({ note }) => note !== '').map(({ shard, note }) => ({ shard, reason: note }));
  const lead = `node ${node} ${dryRun ? 'would give' : 'gives'} its leads to others`;
  const away = goes.length === 0 ? '\n' : `, and ${plural(goes.length, 'replica')}:\n${byReason(goes)}`;
  if (stays.length === 0) return `${lead}${away}`;
  const until = 'The node is not left until that is otherwise, such as when another node joins.';
  return `${lead}${away}${plural(stays.length, 'replica')} CANNOT MOVE now:\n${byReason(stays)}${until}\n`;
}

/** A line for each reason, with the shards that it is of. */
function byReason(shards: readonly { readonly shard: number; readonly reason: string }[]): string {
  return [...Map.groupBy(shards, ({ reason }) => reason)]
    .map(([reason, of]) => {
      const ids = of.slice(0, NAMED_MAX).map(({ shard }) => shard);
      const more = of.length > ids.length ? ` and ${formatCount(of.length - ids.length)} more` : '';
      return `  ${of.length === 1 ? 'shard' : 'shards'} ${ids.join(', ')}${more}: ${reason}\n`;
    })
    .join('');
}

/** Such as `up`, `up, SLOW DISK 4.4x`, `DOWN 8 min`. */
function stateText({ state, sinceMs, slowDisk }: ClusterSurvey['nodes'][number], nowMs: number): string {
  if (AGED.has(state)) return `${state.toUpperCase()} ${age(nowMs, sinceMs)}`;
  return `${state === 'up' ? state : state.toUpperCase()}${slowDisk >= SLOW_FROM ? `, SLOW DISK ${slowDisk.toFixed(1)}x` : ''}`;
}

/** What is not free is used, by whomever: that is what the marks of the policy are held against. */
function diskText({ capacityBytes, diskUsedBytes, diskFreeBytes }: ClusterSurvey['nodes'][number]): string {
  if (capacityBytes === 0 || diskUsedBytes + diskFreeBytes === 0) return '-';
  const usedBytes = Math.max(0, capacityBytes - diskFreeBytes);
  return `${formatBytes(usedBytes)} of ${formatBytes(capacityBytes)}, ${Math.round((usedBytes / capacityBytes) * 100)} %`;
}

/** By whom, if not by the metaserver itself. */
function askedFor(by: string): string {
  return by === '' || by === 'policy' ? '' : ` (asked for by ${by})`;
}

function keysText({ entry }: SurveyedShard): string {
  const keys = entry!.keys?.keys;
  if (keys === undefined) return '?';
  if (keys.$case === 'hash') {
    const { bits, index } = keys.value;
    return bits === 0 ? 'all' : `hash ${index} of ${formatCount(2 ** bits)}`;
  }
  const { start, end } = keys.value;
  if (start.length === 0 && end === undefined) return 'all';
  return `${start.length === 0 ? '' : shown(start)} .. ${end === undefined ? '' : shown(end)}`.trim();
}

function shown(key: Uint8Array): string {
  const text = escapeBytes(key);
  return text.length > KEY_CHARACTERS_MAX ? `${text.slice(0, KEY_CHARACTERS_MAX)}...` : text;
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

function rate(perSecond: number): string {
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : formatCount(Math.round(perSecond));
}

function age(nowMs: number, ms: number): string {
  return ms === 0 ? '-' : formatAge(nowMs - ms);
}
