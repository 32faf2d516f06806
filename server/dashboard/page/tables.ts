/** Tables: how they are divided, how they are kept, what they hold. */
import type { TableView } from '../cluster-view.ts';
import { byId, el, type Kept, KeptList, setAttribute, setText } from './dom.ts';
import { bytes, count, dayAndTime, perSecond, plural, setTime, short } from './format.ts';
import type { Model } from './model.ts';

const COLUMNS: readonly { readonly name: string; readonly number: boolean; readonly of: (table: TableView) => string }[] = [
  { name: 'Table', number: false, of: ({ name }) => name },
  { name: 'State', number: false, of: ({ state }) => state },
  { name: 'Divided by', number: false, of: ({ partitioning }) => partitioning },
  { name: 'Shards', number: true, of: ({ shards }) => count(shards) },
  { name: 'Replicas', number: false, of: replicasOf },
  { name: 'Pool', number: false, of: ({ pool }) => (pool === '' ? 'default' : pool) },
  { name: 'Expiry', number: false, of: ({ ttlMs }) => (ttlMs === 0 ? 'none' : setTime(ttlMs)) },
  { name: 'Durability', number: false, of: ({ durability }) => durability },
  { name: 'Quotas', number: false, of: quotasOf },
  { name: 'Data', number: true, of: ({ dataBytes }) => bytes(dataBytes) },
  { name: 'Keys', number: true, of: ({ keys, dataBytes }) => (keys === 0 && dataBytes > 0 ? '-' : short(keys)) },
  { name: 'Reads', number: true, of: ({ readsPerSecond }) => perSecond(readsPerSecond) },
  { name: 'Writes', number: true, of: ({ writesPerSecond }) => perSecond(writesPerSecond) },
];
const STATE_COLUMN = 1;

export class Tables {
  readonly #rows: KeptList<TableView>;

  /** `onTable`: its shards are to be shown. */
  constructor(onTable: (table: number) => void) {
    const body = el('tbody');
    this.#rows = new KeptList(
      body,
      ({ id }) => id,
      () => row(onTable),
    );
    byId('table-list').append(
      el(
        'div',
        { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Tables' },
        el(
          'table',
          { class: 'plain' },
          el(
            'thead',
            {},
            el('tr', {}, ...COLUMNS.map(({ name, number }) => el('th', { scope: 'col', class: number ? 'number' : undefined }, name))),
          ),
          body,
        ),
      ),
    );
  }

  update({ view }: Model): void {
    this.#rows.update(view.tables);
    setText(byId('tables-summary'), plural(view.tables.length, 'table'));
  }
}

function row(onTable: (table: number) => void): Kept<TableView> {
  let id = 0;
  const cells = COLUMNS.map(({ number }) => el('td', { class: number ? 'number' : undefined }));
  const button = el('button', { type: 'button', class: 'link', on: { click: () => onTable(id) } });
  const mark = el('span', { class: 'mark' });
  cells[0]!.append(button);
  cells[STATE_COLUMN]!.append(mark);
  return {
    element: el('tr', {}, ...cells),
    update: (table) => {
      id = table.id;
      for (const [index, { of }] of COLUMNS.entries())
        setText(index === 0 ? button : index === STATE_COLUMN ? mark : cells[index]!, of(table));
      setAttribute(mark, 'data-severity', table.state === 'normal' ? 'well' : 'busy');
      setAttribute(button, 'aria-label', `${table.name}: show its shards`);
      setAttribute(mark, 'title', table.state === 'dropped' ? untilText(table) : undefined);
    },
  };
}

function untilText({ undeleteUntilMs }: TableView): string {
  return undeleteUntilMs === 0 ? 'is being destroyed' : `can be undeleted until ${dayAndTime(undeleteUntilMs)}`;
}

/** Such as `200 GiB, 5.0 k/s read`. */
function quotasOf({ quotas: { bytes: room, readsPerSecond, writesPerSecond } }: TableView): string {
  const bounds = [
    ...(room > 0 ? [bytes(room)] : []),
    ...(readsPerSecond > 0 ? [`${perSecond(readsPerSecond)} read`] : []),
    ...(writesPerSecond > 0 ? [`${perSecond(writesPerSecond)} written`] : []),
  ];
  return bounds.join(', ') || 'none';
}

function replicasOf({ replicas, learners, witnesses }: TableView): string {
  const others = [
    ...(learners > 0 ? [plural(learners, 'learner')] : []),
    ...(witnesses > 0 ? [`${count(witnesses)} ${witnesses === 1 ? 'witness' : 'witnesses'}`] : []),
  ];
  return [count(replicas), ...others].join(' + ');
}
