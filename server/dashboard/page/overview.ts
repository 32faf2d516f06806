/** What is seen first: a verdict, what is wrong, and six figures. */
import type { HistoryPoint } from '../cluster-view.ts';
import { Sparkline } from './chart.ts';
import { byId, el, type Kept, KeptList, setAttribute, setText } from './dom.ts';
import { bytes, count, perSecond, plural, short } from './format.ts';
import type { Problem } from './health.ts';
import type { Model } from './model.ts';

const WORDS = { bad: 'Problem', warn: 'Warning', busy: 'Note' } as const;

export class Overview {
  readonly #verdict: HTMLElement = el('p', { class: 'verdict-words', role: 'status' });
  readonly #problems: KeptList<Problem>;
  readonly #tiles: readonly { readonly tile: Tile; readonly of: (model: Model) => TileFigure }[];

  /** `onLook`: what a problem's button leads to. */
  constructor(onLook: (problem: Problem) => void) {
    const list = el('ul', { class: 'problems' });
    byId('verdict').append(this.#verdict, list);
    this.#problems = new KeptList(
      list,
      ({ id }) => id,
      (problem) => problemRow(problem, onLook),
    );
    this.#tiles = FIGURES.map(({ name, of }) => ({ tile: new Tile(name), of }));
    byId('tiles').append(...this.#tiles.map(({ tile }) => tile.element));
  }

  update(model: Model): void {
    setText(this.#verdict, model.verdict.words);
    setAttribute(byId('verdict'), 'data-severity', model.verdict.severity);
    this.#problems.update(model.problems);
    for (const { tile, of } of this.#tiles) tile.show(of(model), model.history);
  }
}

function problemRow(first: Problem, onLook: (problem: Problem) => void): Kept<Problem> {
  let shown = first;
  const mark = el('span', { class: 'mark' });
  const title = el('strong');
  const detail = el('span', { class: 'quiet' });
  const look = el('button', { type: 'button', class: 'quiet-button', on: { click: () => onLook(shown) } }, 'Show');
  return {
    element: el('li', {}, mark, el('span', { class: 'problem-words' }, title, ' ', detail), first.look !== undefined && look),
    update: (problem) => {
      shown = problem;
      setText(mark, WORDS[problem.severity]);
      setAttribute(mark, 'data-severity', problem.severity);
      setText(title, problem.title);
      setText(detail, problem.detail);
      setAttribute(look, 'aria-label', `Show: ${problem.title}`);
    },
  };
}

interface TileFigure {
  readonly value: string;
  readonly note: string;
  readonly line?: (point: HistoryPoint) => number;
}

class Tile {
  readonly element: HTMLElement;
  readonly #value: HTMLElement = el('dd', { class: 'value' });
  readonly #note: HTMLElement = el('dd', { class: 'quiet' });
  readonly #spark: Sparkline = new Sparkline();

  constructor(name: string) {
    this.element = el('dl', { class: 'tile' }, el('dt', {}, name), this.#value, this.#note, this.#spark.element);
  }

  show({ value, note, line }: TileFigure, history: readonly HistoryPoint[]): void {
    setText(this.#value, value);
    setText(this.#note, note);
    this.#spark.show(line === undefined ? [] : history.map(line));
  }
}

const FIGURES: readonly { readonly name: string; readonly of: (model: Model) => TileFigure }[] = [
  {
    name: 'Nodes',
    of: ({ view }) => {
      const there = view.nodes.filter(({ state }) => state !== 'removed');
      const up = there.filter(({ state }) => state !== 'down' && state !== 'suspect').length;
      const zones = new Set(there.map(({ zone }) => zone)).size;
      return { value: `${count(up)} of ${count(there.length)}`, note: `up, in ${plural(zones, 'zone')}`, line: (point) => point.nodesUp };
    },
  },
  {
    name: 'Shards',
    of: ({ view, healths }) => {
      const well = [...healths.values()].filter((health) => health === 'well' || health === 'changing').length;
      const ill = healths.size - well;
      return {
        value: count(view.shardsInAll),
        note: ill === 0 ? `all healthy, in ${plural(view.tables.length, 'table')}` : `${count(ill)} not healthy`,
      };
    },
  },
  {
    name: 'Reads',
    of: ({ view }) => ({
      value: perSecond(sum(view.tables, (table) => table.readsPerSecond)),
      note: 'by all tables',
      line: (point) => point.readsPerSecond,
    }),
  },
  {
    name: 'Writes',
    of: ({ view }) => ({
      value: perSecond(sum(view.tables, (table) => table.writesPerSecond)),
      note: 'by all tables',
      line: (point) => point.writesPerSecond,
    }),
  },
  {
    name: 'Data',
    of: ({ view }) => ({
      value: bytes(sum(view.tables, (table) => table.dataBytes)),
      note: `one copy of it, about ${short(sum(view.tables, (table) => table.keys))} keys`,
      line: (point) => point.dataBytes,
    }),
  },
  {
    name: 'Imbalance',
    of: ({ history }) => {
      const last = history.at(-1);
      const over = ([, mean, most]: readonly [number, number, number]): number => (mean > 0 ? most / mean : 1);
      return {
        value: last === undefined ? '-' : `${over(last.traffic).toFixed(1)}x`,
        note: 'busiest node to the mean',
        line: (point) => over(point.traffic),
      };
    },
  },
];

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
