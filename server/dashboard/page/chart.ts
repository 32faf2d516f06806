/**
 * A chart over time: lines, or a band from least to most with its mean. Drawn at the size that it has on the page, so that its text keeps its own.
 *
 * A pointer over it, or the arrow keys when it has the focus, read a moment; otherwise the legend says what is now.
 */
import { el, setAttribute, svg } from './dom.ts';
import { duration, timeOfDay } from './format.ts';
import { areaOf, nearest, pathOf, roundUp } from './scale.ts';

export interface Series {
  readonly name: string;
  /** Of style.css: `--series-1` and so on. */
  readonly colour: 1 | 2 | 3;
  readonly values: readonly number[];
}

export interface ChartData {
  /** Of each value. */
  readonly atMs: readonly number[];
  readonly fromMs: number;
  readonly toMs: number;
  /** Points further apart than this are not joined. */
  readonly gapMs: number;
  readonly series: readonly Series[];
  /** Of the first two series the area between, with the third as a line within: least, most, mean. Otherwise all are lines. */
  readonly band: boolean;
  readonly show: (value: number) => string;
  readonly round?: (most: number) => number;
  readonly atLeast?: number;
}

const HEIGHT = 168;
const LEFT = 66;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;
const ROWS = 4;

export class Chart {
  readonly element: HTMLElement;
  readonly #name: string;
  readonly #drawing: SVGSVGElement = svg('svg', { class: 'chart', height: HEIGHT, tabindex: 0, role: 'img' });
  readonly #legend: HTMLElement = el('div', { class: 'legend' });
  #data: ChartData | undefined;
  /** The index that is read; undefined: the last one. */
  #reading: number | undefined;

  constructor(name: string) {
    this.#name = name;
    this.element = el('figure', { class: 'chart-box' }, this.#legend, this.#drawing);
    new ResizeObserver(() => this.#draw()).observe(this.#drawing);
    this.#drawing.addEventListener('pointermove', (event) => this.#readAt(event.offsetX));
    this.#drawing.addEventListener('pointerleave', () => this.#read(undefined));
    this.#drawing.addEventListener('blur', () => this.#read(undefined));
    this.#drawing.addEventListener('keydown', (event) => this.#onKey(event));
  }

  show(data: ChartData): void {
    this.#data = data;
    this.#draw();
  }

  #onKey(event: KeyboardEvent): void {
    const last = (this.#data?.atMs.length ?? 0) - 1;
    if (last < 0) return;
    const from = this.#reading ?? last;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - 12, PageDown: from + 12, Home: 0, End: last }[event.key];
    if (event.key === 'Escape') this.#read(undefined);
    if (to === undefined) return;
    event.preventDefault();
    this.#read(Math.min(last, Math.max(0, to)));
  }

  #readAt(x: number): void {
    const { atMs } = this.#data ?? { atMs: [] };
    if (atMs.length === 0) return;
    const xs = atMs.map((at) => this.#x(at));
    this.#read(nearest(xs, x));
  }

  #read(index: number | undefined): void {
    if (this.#reading === index) return;
    this.#reading = index;
    this.#draw();
  }

  get #width(): number {
    return this.#drawing.clientWidth;
  }

  #x(atMs: number): number {
    const { fromMs, toMs } = this.#data!;
    return LEFT + ((atMs - fromMs) / (toMs - fromMs)) * (this.#width - LEFT - RIGHT);
  }

  #draw(): void {
    const data = this.#data;
    if (data === undefined || this.#width === 0) return;
    const most = (data.round ?? roundUp)(Math.max(data.atLeast ?? 0, ...data.series.flatMap(({ values }) => values)));
    const y = (value: number): number => TOP + (1 - value / most) * (HEIGHT - TOP - BOTTOM);
    const parts: SVGElement[] = [];
    for (let row = 0; row <= ROWS; row++) {
      const value = (most * row) / ROWS;
      parts.push(
        svg('line', { class: row === 0 ? 'axis' : 'rule', x1: LEFT, x2: this.#width - RIGHT, y1: y(value), y2: y(value) }),
        svg('text', { class: 'tick', x: LEFT - 8, y: y(value) + 4, 'text-anchor': 'end' }, data.show(value)),
      );
    }
    parts.push(...this.#times(data), ...this.#lines(data, y));
    const at = Math.min(this.#reading ?? data.atMs.length - 1, data.atMs.length - 1);
    if (at >= 0) {
      const x = this.#x(data.atMs[at]!);
      if (this.#reading !== undefined) parts.push(svg('line', { class: 'cross', x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
      for (const { colour, values } of data.series)
        parts.push(svg('circle', { class: `dot series-${colour}`, cx: x, cy: y(values[at]!), r: 3 }));
    } else {
      parts.push(
        svg(
          'text',
          { class: 'tick', x: (this.#width + LEFT) / 2, y: HEIGHT / 2, 'text-anchor': 'middle' },
          'The first figures come in a few seconds',
        ),
      );
    }
    this.#drawing.replaceChildren(...parts);
    this.#showLegend(data, at);
  }

  #times(data: ChartData): SVGElement[] {
    const spanMs = data.toMs - data.fromMs;
    // Spans are multiples of five minutes, so that each of these is whole.
    const pieces = this.#width > 420 ? 5 : 1;
    return Array.from({ length: pieces + 1 }, (_, i) => {
      const x = this.#x(data.fromMs + (spanMs * i) / pieces);
      const anchor = i === 0 ? 'start' : i === pieces ? 'end' : 'middle';
      const ago = spanMs * (1 - i / pieces);
      return svg('text', { class: 'tick', x, y: HEIGHT - 5, 'text-anchor': anchor }, ago === 0 ? 'now' : `${duration(ago)} ago`);
    });
  }

  #lines(data: ChartData, y: (value: number) => number): SVGElement[] {
    const xs = data.atMs.map((at) => this.#x(at));
    const gap = this.#x(data.fromMs + data.gapMs) - LEFT;
    const line = ({ colour, values }: Series): SVGElement =>
      svg('path', {
        class: `line series-${colour}`,
        d: pathOf(
          xs.map((x, i) => [x, y(values[i]!)] as const),
          gap,
        ),
      });
    const area = (low: readonly number[] | undefined, high: Series): SVGElement =>
      svg('path', {
        class: `area series-${high.colour}`,
        d: areaOf(
          xs.map((x, i) => [x, y(low === undefined ? 0 : low[i]!), y(high.values[i]!)] as const),
          gap,
        ),
      });
    const [first, second, third] = data.series;
    if (data.band) return [area(first!.values, second!), line({ ...first!, colour: second!.colour }), line(second!), line(third!)];
    return data.series.flatMap((series) => [area(undefined, series), line(series)]);
  }

  #showLegend(data: ChartData, at: number): void {
    const said = data.series.map(({ name, values }) => `${name} ${at < 0 ? '-' : data.show(values[at]!)}`);
    const when = at < 0 ? '' : this.#reading === undefined ? 'now' : timeOfDay(data.atMs[at]!);
    const entries = data.series.map(({ colour }, i) => el('span', { class: `key series-${colour}` }, said[i]!));
    this.#legend.replaceChildren(...entries, el('span', { class: 'when' }, when));
    setAttribute(this.#drawing, 'aria-label', `${this.#name}, ${when}: ${said.join(', ')}. Arrow keys read earlier moments.`);
  }
}

/** A line without axes, beside a figure. */
export class Sparkline {
  readonly element: SVGSVGElement = svg('svg', {
    class: 'spark',
    viewBox: '0 0 100 28',
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  });
  readonly #area: SVGPathElement = svg('path', { class: 'area series-1' });
  readonly #line: SVGPathElement = svg('path', { class: 'line series-1' });

  constructor() {
    this.element.append(this.#area, this.#line);
  }

  show(values: readonly number[]): void {
    const most = Math.max(1e-9, ...values);
    const points = values.map((value, i) => [(100 * i) / Math.max(1, values.length - 1), 26 - (24 * value) / most] as const);
    setAttribute(this.#line, 'd', values.length < 2 ? '' : pathOf(points, Infinity));
    setAttribute(
      this.#area,
      'd',
      values.length < 2
        ? ''
        : areaOf(
            points.map(([x, y]) => [x, 28, y] as const),
            Infinity,
          ),
    );
  }
}
