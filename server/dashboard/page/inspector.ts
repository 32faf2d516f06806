/** All that is known of one shard: the one that is pointed at, else the one that is held, else the one that is worst off. */
import type { ReplicaView, ShardView } from '../cluster-view.ts';
import { byId, el, setAttribute } from './dom.ts';
import { bytes, count, perSecond } from './format.ts';
import { DEAD_ROLES, HEALTHS } from './health.ts';
import { type Model, nameOfTable, zoneOf } from './model.ts';

export class Inspector {
  readonly #root: HTMLElement = byId('inspector');

  show(model: Model, pointed: number | undefined, held: number | undefined): void {
    const { shards } = model.view;
    const found = shards.find(({ id }) => id === (pointed ?? held)) ?? worstOf(model);
    setAttribute(this.#root, 'data-held', held !== undefined && found?.id === held);
    const hint =
      found?.id === held
        ? 'Held here; Escape lets it go.'
        : 'Point at a shard, or go to one by Tab and arrow keys; a click or Enter holds it here.';
    this.#root.replaceChildren(...(found === undefined ? [] : partsOf(found, model)), el('p', { class: 'quiet hint' }, hint));
  }
}

function worstOf({ view, healths }: Model): ShardView | undefined {
  const rank = ({ id }: ShardView): number => HEALTHS.findIndex(({ health }) => health === healths.get(id));
  return view.shards.reduce<ShardView | undefined>(
    (worst, shard) => (worst === undefined || rank(shard) < rank(worst) ? shard : worst),
    undefined,
  );
}

function partsOf(shard: ShardView, model: Model): HTMLElement[] {
  const { severity, words } = HEALTHS.find(({ health }) => health === model.healths.get(shard.id))!;
  const facts: readonly (readonly [string, string | HTMLElement])[] = [
    ['Table', nameOfTable(shard.table, model.around)],
    ['Keys', el('span', { class: 'mono wrap' }, shard.keys)],
    ['State', `${shard.state}, epoch ${count(shard.epoch)}, term ${count(shard.term)}`],
    ['Data', `${bytes(shard.dataBytes)} in about ${count(shard.keysCount)} keys`],
    ['Load', `${perSecond(shard.readsPerSecond)} reads, ${perSecond(shard.writesPerSecond)} writes`],
    ...(shard.operator === '' ? [] : [['Operator', shard.operator] as const]),
    ...(shard.byHand ? [['Note', 'its members were changed by hand; the metaserver leaves them so'] as const] : []),
  ];
  return [
    el(
      'div',
      { class: 'inspector-head' },
      el('h3', {}, `Shard ${shard.id}`),
      el('span', { class: 'mark', 'data-severity': severity }, words),
    ),
    el('dl', { class: 'facts' }, ...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
    el(
      'table',
      { class: 'plain' },
      el('caption', { class: 'unseen' }, `Replicas of shard ${shard.id}`),
      el('thead', {}, el('tr', {}, ...['Node', 'Zone', 'Role', 'Behind', 'Disk'].map((name) => el('th', { scope: 'col' }, name)))),
      el('tbody', {}, ...shard.replicas.map((replica) => replicaRow(replica, shard, model))),
    ),
  ];
}

function replicaRow(replica: ReplicaView, shard: ShardView, { around }: Model): HTMLElement {
  const up = around.isUp(replica.node);
  const leads = replica.node === shard.leader;
  const role = !up
    ? 'down'
    : leads
      ? 'leads'
      : replica.kind === 'voter'
        ? replica.role === ''
          ? 'not reported'
          : replica.role
        : replica.kind;
  return el(
    'tr',
    { 'data-severity': up && !DEAD_ROLES.has(replica.role) ? undefined : 'bad' },
    el('th', { scope: 'row' }, String(replica.node)),
    el('td', {}, zoneOf(replica.node, around)),
    el('td', {}, leads ? el('strong', {}, role) : role),
    el('td', { class: 'number' }, leads || !up ? '-' : count(replica.lag)),
    el('td', { class: 'number' }, bytes(replica.diskBytes)),
  );
}
