/** The chosen shards as a table that can be sorted by its headings; a page of rows at first, more when asked for. */
import type { ShardView } from '../cluster-view.ts';
import { byId, el, type Kept, KeptList, setAttribute, setText } from './dom.ts';
import { bytes, count, perSecond } from './format.ts';
import { HEALTHS } from './health.ts';
import { type Choice, isChosen, type Model, nameOfTable } from './model.ts';

const ROWS_AT_FIRST = 12;
const ROWS_MORE = 100;

interface Column {
  readonly name: string;
  readonly number: boolean;
  readonly of: (shard: ShardView, model: Model) => string;
  /** Numbers begin with the largest, words with the first. */
  readonly order: (shard: ShardView, model: Model) => number | string;
}

const COLUMNS: readonly Column[] = [
  { name: 'Shard', number: true, of: ({ id }) => String(id), order: ({ id }) => -id },
  {
    name: 'Table',
    number: false,
    of: ({ table }, { around }) => nameOfTable(table, around),
    order: ({ table }, { around }) => nameOfTable(table, around),
  },
  { name: 'Keys', number: false, of: ({ keys }) => keys, order: ({ keys }) => keys },
  { name: 'State', number: false, of: (shard, model) => healthWords(shard, model), order: (shard, model) => -rankOf(shard, model) },
  {
    name: 'Leader',
    number: true,
    of: ({ leader }) => (leader === 0 ? '-' : `node ${leader}`),
    order: ({ leader }) => -leader,
  },
  { name: 'Replicas on', number: false, of: replicasOf, order: ({ replicas }) => replicas.length },
  { name: 'Data', number: true, of: ({ dataBytes }) => bytes(dataBytes), order: ({ dataBytes }) => dataBytes },
  { name: 'Reads', number: true, of: ({ readsPerSecond }) => perSecond(readsPerSecond), order: ({ readsPerSecond }) => readsPerSecond },
  {
    name: 'Writes',
    number: true,
    of: ({ writesPerSecond }) => perSecond(writesPerSecond),
    order: ({ writesPerSecond }) => writesPerSecond,
  },
];

const STATE_COLUMN = 3;
const MONO_COLUMN = 2;

export class ShardList {
  readonly #headings: readonly HTMLTableCellElement[];
  readonly #rows: KeptList<ShardView>;
  readonly #more: HTMLButtonElement;
  readonly #nothing: HTMLElement = el('p', { class: 'empty' }, 'No shard fits what is chosen.');
  readonly #table: HTMLElement;
  readonly #onHold: (shard: number) => void;
  #sorted: { column: number; reversed: boolean } = { column: STATE_COLUMN, reversed: false };
  #shown = ROWS_AT_FIRST;
  #model: Model | undefined;
  #choice: Choice | undefined;

  constructor(onHold: (shard: number) => void) {
    this.#onHold = onHold;
    this.#headings = COLUMNS.map(({ name, number }, column) =>
      el(
        'th',
        { scope: 'col', class: number ? 'number' : undefined },
        el('button', { type: 'button', class: 'sort', on: { click: () => this.#sort(column) } }, name),
      ),
    );
    const body = el('tbody');
    this.#rows = new KeptList(
      body,
      ({ id }) => id,
      () => this.#row(),
    );
    this.#more = el('button', { type: 'button', class: 'quiet-button', on: { click: () => this.#showMore() } });
    this.#table = el(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Shards as a table' },
      el('table', { class: 'plain' }, el('thead', {}, el('tr', {}, ...this.#headings)), body),
    );
    byId('shard-list').append(this.#table, this.#nothing, el('p', { class: 'more' }, this.#more));
  }

  update(model: Model, choice: Choice): void {
    this.#model = model;
    this.#choice = choice;
    this.#draw();
  }

  #draw(): void {
    const model = this.#model;
    if (model === undefined) return;
    const { column, reversed } = this.#sorted;
    const { order } = COLUMNS[column]!;
    const chosen = model.view.shards.filter((shard) => isChosen(shard, this.#choice!, model));
    const keyed = chosen.map((shard) => ({ shard, key: order(shard, model) }));
    const way = reversed ? -1 : 1;
    keyed.sort(
      (a, b) => way * (typeof a.key === 'number' ? (b.key as number) - a.key : a.key.localeCompare(String(b.key), 'en', { numeric: true })),
    );
    this.#rows.update(keyed.slice(0, this.#shown).map(({ shard }) => shard));
    for (const [index, heading] of this.#headings.entries())
      setAttribute(heading, 'aria-sort', index !== column ? undefined : reversed ? 'descending' : 'ascending');
    const left = chosen.length - this.#shown;
    this.#more.hidden = left <= 0;
    setText(this.#more, `Show ${count(Math.min(ROWS_MORE, Math.max(0, left)))} more of ${count(Math.max(0, left))}`);
    this.#nothing.hidden = chosen.length > 0;
    this.#table.hidden = chosen.length === 0;
  }

  #sort(column: number): void {
    this.#sorted = { column, reversed: this.#sorted.column === column && !this.#sorted.reversed };
    this.#draw();
  }

  #showMore(): void {
    this.#shown += ROWS_MORE;
    this.#draw();
  }

  #row(): Kept<ShardView> {
    let id = 0;
    const cells = COLUMNS.map(({ number }, column) =>
      el('td', { class: number ? 'number' : column === MONO_COLUMN ? 'mono clip' : undefined }),
    );
    const button = el('button', { type: 'button', class: 'link', on: { click: () => this.#onHold(id) } });
    const mark = el('span', { class: 'mark' });
    cells[0]!.append(button);
    cells[STATE_COLUMN]!.append(mark);
    return {
      element: el('tr', {}, ...cells),
      update: (shard) => {
        id = shard.id;
        const model = this.#model!;
        for (const [column, { of }] of COLUMNS.entries()) {
          const target = column === 0 ? button : column === STATE_COLUMN ? mark : cells[column]!;
          setText(target, of(shard, model));
        }
        setAttribute(cells[MONO_COLUMN]!, 'title', shard.keys);
        setAttribute(mark, 'data-severity', HEALTHS[rankOf(shard, model)]!.severity);
        setAttribute(button, 'aria-label', `Shard ${shard.id}: show it in the inspector`);
      },
    };
  }
}

function rankOf({ id }: ShardView, { healths }: Model): number {
  return HEALTHS.findIndex(({ health }) => health === healths.get(id));
}

function healthWords(shard: ShardView, model: Model): string {
  return HEALTHS[rankOf(shard, model)]!.words;
}

/** Such as `1 3 5`, learners and witnesses with a letter: `7L`. */
function replicasOf({ replicas }: ShardView): string {
  return replicas.map(({ node, kind }) => `${node}${kind === 'learner' ? 'L' : kind === 'witness' ? 'W' : ''}`).join(' ');
}
