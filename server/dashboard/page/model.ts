/** One view with what follows from it: worked out once an answer, read by every part of the page. Pure. */
import type { ClusterView, HistoryPoint, NodeView, ShardView } from '../cluster-view.ts';
import { type Health, healthOf, type Problem, problemsOf, type Severity, Surroundings, verdictOf } from './health.ts';

export interface Model {
  readonly view: ClusterView;
  readonly history: readonly HistoryPoint[];
  readonly around: Surroundings;
  readonly healths: ReadonlyMap<number, Health>;
  readonly problems: readonly Problem[];
  readonly verdict: { readonly severity: Severity; readonly words: string };
}

export function modelOf(view: ClusterView, history: readonly HistoryPoint[]): Model {
  const around = new Surroundings(view);
  const healths = new Map(view.shards.map((shard) => [shard.id, healthOf(shard, around)]));
  const problems = problemsOf(view, healths);
  return { view, history, around, healths, problems, verdict: verdictOf(view, problems) };
}

/** What an operator wants to look at; everything that is undefined or empty leaves all shards. */
export interface Choice {
  readonly node?: number | undefined;
  readonly health?: Health | undefined;
  readonly table?: number | undefined;
  readonly text: string;
}

export const ALL: Choice = { text: '' };

/** Text fits a shard's number, its table's name, or a part of its keys, in any case of letters. */
export function isChosen(shard: ShardView, choice: Choice, { healths, around }: Model): boolean {
  if (choice.table !== undefined && shard.table !== choice.table) return false;
  if (choice.node !== undefined && !shard.replicas.some(({ node }) => node === choice.node)) return false;
  if (choice.health !== undefined && healths.get(shard.id) !== choice.health) return false;
  const text = choice.text.trim().toLowerCase();
  if (text === '') return true;
  if (/^\d+$/.test(text) && String(shard.id) === text) return true;
  return nameOfTable(shard.table, around).toLowerCase().includes(text) || shard.keys.toLowerCase().includes(text);
}

export function isAll({ node, health, table, text }: Choice): boolean {
  return node === undefined && health === undefined && table === undefined && text.trim() === '';
}

export function nameOfTable(table: number, { tables }: Surroundings): string {
  return tables.get(table)?.name ?? `table ${table}`;
}

export function zoneOf(node: number, { nodes }: Surroundings): string {
  return nodes.get(node)?.zone ?? '';
}

export function trafficOf({ readsPerSecond, writesPerSecond }: NodeView | ShardView): number {
  return readsPerSecond + writesPerSecond;
}

/** Zones and pools in the order of their names, numbers as numbers. */
export function inOrder(names: Iterable<string>): string[] {
  return [...new Set(names)].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}
