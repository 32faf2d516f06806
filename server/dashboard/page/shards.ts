/** The section of shards: what to choose by, the map, the inspector, the list. */
import { byId, el, setAttribute, setText } from './dom.ts';
import { count, plural } from './format.ts';
import { HEALTHS } from './health.ts';
import { Inspector } from './inspector.ts';
import { ALL, type Choice, isAll, isChosen, type Model } from './model.ts';
import { Segments } from './segments.ts';
import { ShardList } from './shard-list.ts';
import { ShardMap } from './shard-map.ts';
import { PAINTS } from './shard-paint.ts';

export class Shards {
  readonly #map: ShardMap;
  readonly #list: ShardList;
  readonly #inspector: Inspector = new Inspector();
  readonly #paint: Segments;
  readonly #tables: HTMLSelectElement;
  readonly #text: HTMLInputElement;
  readonly #chips: HTMLElement = el('span', { class: 'chips' });
  readonly #onChoose: (choice: Choice) => void;
  #model: Model | undefined;
  #choice: Choice = ALL;
  #pointed: number | undefined;
  #held: number | undefined;

  /** `onChoose`: other shards are to be shown. */
  constructor(onChoose: (choice: Choice) => void) {
    this.#onChoose = onChoose;
    this.#map = new ShardMap(
      (shard) => this.#point(shard),
      (shard) => this.#hold(shard),
    );
    this.#list = new ShardList((shard) => this.#hold(shard));
    this.#tables = el('select', { 'aria-label': 'Table', on: { change: () => this.#chooseTable() } });
    this.#text = el('input', {
      type: 'search',
      placeholder: 'Find a shard, key or table',
      'aria-label': 'Find a shard by its number, a part of its keys or its table',
      on: { input: () => onChoose({ ...this.#choice, text: this.#text.value }) },
    });
    const paints = el('span', { class: 'segments', role: 'group', 'aria-label': 'What shards are coloured by' });
    byId('shard-tools').append(this.#text, this.#tables, paints, this.#chips);
    this.#paint = new Segments(
      paints,
      PAINTS.map(({ name }) => name),
      () => this.#draw(),
    );
  }

  update(model: Model, choice: Choice): void {
    this.#model = model;
    this.#choice = choice;
    this.#draw();
  }

  #draw(): void {
    const model = this.#model;
    if (model === undefined) return;
    const paint = PAINTS[this.#paint.chosen]!.make(model);
    this.#map.update(model, this.#choice, paint, this.#held);
    this.#list.update(model, this.#choice);
    this.#inspect();
    this.#showTools(model);
    byId('shard-legend').replaceChildren(
      ...paint.legend.map(({ paint, words }) =>
        el('span', { class: 'key' }, el('span', { class: `swatch ${paint}`, 'aria-hidden': 'true' }), words),
      ),
    );
  }

  #showTools(model: Model): void {
    const options = [['', 'All tables'] as const, ...model.view.tables.map(({ id, name }) => [String(id), name] as const)];
    const known = [...this.#tables.options].map(({ value, text }) => [value, text]);
    if (JSON.stringify(known) !== JSON.stringify(options))
      this.#tables.replaceChildren(...options.map(([value, text]) => el('option', { value }, text)));
    this.#tables.value = this.#choice.table === undefined ? '' : String(this.#choice.table);
    if (this.#text.value !== this.#choice.text) this.#text.value = this.#choice.text;
    const { node, health } = this.#choice;
    const healthWords = HEALTHS.find((each) => each.health === health)?.words;
    this.#chips.replaceChildren(
      ...(node === undefined ? [] : [this.#chip(`on node ${node}`, { ...this.#choice, node: undefined })]),
      ...(healthWords === undefined ? [] : [this.#chip(healthWords, { ...this.#choice, health: undefined })]),
    );
    const { shards, shardsInAll } = model.view;
    const chosen = isAll(this.#choice) ? shards.length : shards.filter((shard) => isChosen(shard, this.#choice, model)).length;
    const left = shardsInAll > shards.length ? `; ${count(shardsInAll - shards.length)} that are well are left out here` : '';
    setText(
      byId('shards-summary'),
      `${isAll(this.#choice) ? plural(shardsInAll, 'shard') : `${count(chosen)} of ${plural(shardsInAll, 'shard')}`}${left}`,
    );
  }

  #chip(words: string, without: Choice): HTMLElement {
    const button = el('button', { type: 'button', class: 'chip', on: { click: () => this.#onChoose(without) } }, words);
    setAttribute(button, 'aria-label', `Only ${words}: show all again`);
    return button;
  }

  #chooseTable(): void {
    const { value } = this.#tables;
    this.#onChoose({ ...this.#choice, table: value === '' ? undefined : Number(value) });
  }

  #point(shard: number | undefined): void {
    if (shard === this.#pointed) return;
    this.#pointed = shard;
    this.#inspect();
  }

  #hold(shard: number | undefined): void {
    this.#held = shard;
    this.#draw();
  }

  #inspect(): void {
    if (this.#model !== undefined) this.#inspector.show(this.#model, this.#pointed, this.#held);
  }
}
