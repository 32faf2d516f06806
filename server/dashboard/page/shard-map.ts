/**
 * Every shard as a cell, by table and in the order of keys: a thousand at a glance, three as cards. What is not chosen is faint; where a node is
 * chosen, cells that it leads are full and others hollow.
 *
 * One cell can be reached by Tab; arrow keys, Home and End go on from it, Enter holds it in the inspector, Escape lets it go.
 */
import type { ShardView } from '../cluster-view.ts';
import { byId, el, type Kept, KeptList, setAttribute, setText } from './dom.ts';
import { bytes, perSecond, plural } from './format.ts';
import { HEALTHS } from './health.ts';
import { type Choice, isAll, isChosen, type Model, nameOfTable, trafficOf } from './model.ts';
import type { Paint } from './shard-paint.ts';

interface Group {
  readonly table: number;
  readonly shards: readonly ShardView[];
}

/** How large cells are, for up to so many of them. */
const SIZES = [
  { upTo: 24, size: 'card' },
  { upTo: 240, size: 'medium' },
  { upTo: 1_600, size: 'small' },
  { upTo: Infinity, size: 'tiny' },
] as const;

export class ShardMap {
  readonly #root: HTMLElement = byId('shard-map');
  readonly #groups: KeptList<Group>;
  readonly #onPoint: (shard: number | undefined) => void;
  readonly #onHold: (shard: number | undefined) => void;
  readonly #cells: Map<number, HTMLElement> = new Map();
  #order: readonly number[] = [];
  #size: (typeof SIZES)[number]['size'] = 'card';
  #model: Model | undefined;
  #choice: Choice | undefined;
  #paint: Paint | undefined;
  #held: number | undefined;
  /** The one that Tab reaches. */
  #entry: number | undefined;

  /** `onPoint`: a shard is pointed at or has the focus; `onHold`: it was clicked. Undefined: no more. */
  constructor(onPoint: (shard: number | undefined) => void, onHold: (shard: number | undefined) => void) {
    this.#onPoint = onPoint;
    this.#onHold = onHold;
    this.#groups = new KeptList(
      this.#root,
      ({ table }) => table,
      () => this.#group(),
    );
    // One listener for all cells.
    this.#root.addEventListener('pointerover', (event) => onPoint(shardOf(event)));
    this.#root.addEventListener('pointerleave', () => onPoint(undefined));
    this.#root.addEventListener('focusin', (event) => this.#enter(shardOf(event)));
    this.#root.addEventListener('focusout', () => onPoint(undefined));
    this.#root.addEventListener('click', (event) => this.#hold(shardOf(event)));
    this.#root.addEventListener('keydown', (event) => this.#onKey(event));
  }

  update(model: Model, choice: Choice, paint: Paint, held: number | undefined): void {
    this.#model = model;
    this.#choice = choice;
    this.#paint = paint;
    this.#held = held;
    const { shards } = model.view;
    this.#size = SIZES.find(({ upTo }) => shards.length <= upTo)!.size;
    this.#order = shards.map(({ id }) => id);
    if (this.#entry === undefined || !this.#order.includes(this.#entry)) this.#entry = this.#order[0];
    const groups = new Map<number, ShardView[]>();
    for (const shard of shards) {
      const known = groups.get(shard.table);
      if (known === undefined) groups.set(shard.table, [shard]);
      else known.push(shard);
    }
    setAttribute(this.#root, 'data-size', this.#size);
    this.#cells.clear();
    this.#groups.update([...groups].map(([table, members]) => ({ table, shards: members })));
  }

  #group(): Kept<Group> {
    const name = el('span', { class: 'group-name' });
    const note = el('span', { class: 'quiet' });
    const cells = el('div', { class: 'cells', role: 'group' });
    const list = new KeptList<ShardView>(
      cells,
      ({ id }) => id,
      () => this.#cell(),
    );
    return {
      element: el('div', { class: 'shard-group' }, el('h3', {}, name, ' ', note), cells),
      update: ({ table, shards }) => {
        const title = nameOfTable(table, this.#model!.around);
        setText(name, title);
        setText(note, plural(shards.length, 'shard'));
        setAttribute(cells, 'aria-label', `Shards of ${title}`);
        list.update(shards);
      },
    };
  }

  #cell(): Kept<ShardView> {
    const number = el('span', { class: 'cell-number' });
    const keys = el('span', { class: 'cell-keys mono' });
    const note = el('span', { class: 'cell-note' });
    const element = el('button', { type: 'button', class: 'cell' });
    return {
      element,
      update: (shard) => {
        const model = this.#model!;
        const choice = this.#choice!;
        this.#cells.set(shard.id, element);
        const card = this.#size === 'card';
        const numbered = card || this.#size === 'medium';
        if (numbered !== number.isConnected) element.replaceChildren(...(numbered ? [number] : []));
        if (card && !keys.isConnected) element.append(keys, note);
        else if (!card && keys.isConnected) element.replaceChildren(...(numbered ? [number] : []));
        if (numbered) setText(number, String(shard.id));
        if (card) {
          setText(keys, shard.keys);
          setText(
            note,
            `led by ${shard.leader === 0 ? 'nobody' : `node ${shard.leader}`} · ${bytes(shard.dataBytes)} · ${perSecond(trafficOf(shard))}`,
          );
        }
        const shown = isAll(choice) || isChosen(shard, choice, model);
        const hollow = choice.node !== undefined && shown && shard.leader !== choice.node;
        setAttribute(element, 'class', `cell ${this.#paint!.of(shard)}${shown ? '' : ' faint'}${hollow ? ' hollow' : ''}`);
        setAttribute(element, 'data-shard', shard.id);
        setAttribute(element, 'tabindex', shard.id === this.#entry ? 0 : -1);
        setAttribute(element, 'aria-pressed', String(shard.id === this.#held));
        setAttribute(element, 'aria-label', labelOf(shard, model));
      },
    };
  }

  #enter(shard: number | undefined): void {
    if (shard !== undefined && shard !== this.#entry) {
      if (this.#entry !== undefined) this.#cells.get(this.#entry)?.setAttribute('tabindex', '-1');
      this.#cells.get(shard)?.setAttribute('tabindex', '0');
      this.#entry = shard;
    }
    this.#onPoint(shard);
  }

  #hold(shard: number | undefined): void {
    if (shard !== undefined) this.#onHold(shard === this.#held ? undefined : shard);
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key === 'Escape') return this.#onHold(undefined);
    const from = shardOf(event);
    if (from === undefined) return;
    const to = this.#from(from, event.key);
    if (to === undefined) return;
    event.preventDefault();
    this.#cells.get(to)?.focus();
  }

  /** The shard that a key leads to. Up and down: the nearest cell of the next row, as they happen to be laid out. */
  #from(shard: number, key: string): number | undefined {
    const at = this.#order.indexOf(shard);
    if (key === 'ArrowRight') return this.#order[at + 1];
    if (key === 'ArrowLeft') return this.#order[at - 1];
    if (key === 'Home') return this.#order[0];
    if (key === 'End') return this.#order.at(-1);
    if (key !== 'ArrowDown' && key !== 'ArrowUp') return undefined;
    const step = key === 'ArrowDown' ? 1 : -1;
    const here = this.#cells.get(shard)!;
    let row: number | undefined;
    let best: { shard: number; apart: number } | undefined;
    for (let i = at + step; i >= 0 && i < this.#order.length; i += step) {
      const cell = this.#cells.get(this.#order[i]!)!;
      const top = cell.offsetTop;
      if (top === here.offsetTop) continue;
      row ??= top;
      if (top !== row) break;
      const apart = Math.abs(cell.offsetLeft - here.offsetLeft);
      if (best === undefined || apart < best.apart) best = { shard: this.#order[i]!, apart };
    }
    return best?.shard;
  }
}

function shardOf(event: Event): number | undefined {
  const cell = (event.target as Element).closest('[data-shard]');
  return cell === null ? undefined : Number(cell.getAttribute('data-shard'));
}

function labelOf(shard: ShardView, { healths, around }: Model): string {
  const { words } = HEALTHS.find(({ health }) => health === healths.get(shard.id))!;
  const leader = shard.leader === 0 ? 'led by nobody' : `led by node ${shard.leader}`;
  return `Shard ${shard.id} of ${nameOfTable(shard.table, around)}, ${words}, ${leader}`;
}
