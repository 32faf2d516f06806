/** Load and balance over time: two charts, each with a choice of what it shows. */
import type { HistoryPoint, Spread } from '../cluster-view.ts';
import { Chart, type ChartData, type Series } from './chart.ts';
import { byId } from './dom.ts';
import { bytes, bytesPerSecond, percent, perSecond, short } from './format.ts';
import type { Model } from './model.ts';
import { roundUp, roundUpBytes } from './scale.ts';
import { Segments } from './segments.ts';

interface Shown {
  readonly name: string;
  readonly series: (points: readonly HistoryPoint[]) => readonly Series[];
  readonly show: (value: number) => string;
  readonly round?: (most: number) => number;
  readonly atLeast?: number;
}

const LOADS: readonly Shown[] = [
  {
    name: 'Traffic',
    series: (points) => [
      { name: 'Reads', colour: 1, values: points.map((point) => point.readsPerSecond) },
      { name: 'Writes', colour: 2, values: points.map((point) => point.writesPerSecond) },
    ],
    show: perSecond,
    atLeast: 10,
  },
  {
    name: 'Data',
    series: (points) => [{ name: 'Data', colour: 1, values: points.map((point) => point.dataBytes) }],
    show: bytes,
    round: roundUpBytes,
  },
  {
    name: 'Operators',
    series: (points) => [{ name: 'Operators at work', colour: 3, values: points.map((point) => point.operators) }],
    show: short,
    atLeast: 4,
  },
];

const BALANCES: readonly Shown[] = [
  { name: 'Traffic', series: spread((point) => point.traffic), show: perSecond, atLeast: 10 },
  { name: 'CPU', series: spread((point) => point.cpu), show: percent, atLeast: 0.2 },
  { name: 'Disk', series: spread((point) => point.disk), show: percent, atLeast: 0.2 },
  { name: 'I/O', series: spread((point) => point.io), show: bytesPerSecond, round: roundUpBytes, atLeast: 1024 },
  { name: 'Leaders', series: spread((point) => point.leaders), show: short, atLeast: 4 },
  { name: 'Replicas', series: spread((point) => point.replicas), show: short, atLeast: 4 },
];

const SPAN_MS_LEAST = 5 * 60_000;
const SPAN_MS_MOST = 60 * 60_000;

export class Load {
  readonly #panels: readonly Panel[];

  constructor() {
    this.#panels = [new Panel('load', 'Load', LOADS, false), new Panel('balance', 'Balance over nodes', BALANCES, true)];
  }

  update(model: Model): void {
    for (const panel of this.#panels) panel.update(model);
  }
}

class Panel {
  readonly #chart: Chart;
  readonly #shown: readonly Shown[];
  readonly #choice: Segments;
  readonly #band: boolean;
  #model: Model | undefined;

  constructor(id: string, name: string, shown: readonly Shown[], band: boolean) {
    this.#chart = new Chart(name);
    this.#shown = shown;
    this.#band = band;
    byId(id).append(this.#chart.element);
    this.#choice = new Segments(
      byId(`${id}-choice`),
      shown.map(({ name }) => name),
      () => this.#draw(),
    );
  }

  update(model: Model): void {
    this.#model = model;
    this.#draw();
  }

  #draw(): void {
    if (this.#model === undefined) return;
    const { history, view } = this.#model;
    const toMs = Math.max(view.nowMs, history.at(-1)?.atMs ?? 0);
    const spanMs = spanOf(toMs - (history[0]?.atMs ?? toMs));
    const points = history.filter(({ atMs }) => atMs >= toMs - spanMs);
    const { series, show, round, atLeast } = this.#shown[this.#choice.chosen]!;
    const data: ChartData = {
      atMs: points.map(({ atMs }) => atMs),
      fromMs: toMs - spanMs,
      toMs,
      gapMs: view.history.everyMs * 3,
      series: series(points),
      band: this.#band,
      show,
      round: round ?? roundUp,
      atLeast: atLeast ?? 0,
    };
    this.#chart.show(data);
  }
}

/** Enough for what there is, in steps, so that the axis stands still. */
function spanOf(ms: number): number {
  for (let span = SPAN_MS_LEAST; span < SPAN_MS_MOST; span *= 2) if (ms <= span) return span;
  return SPAN_MS_MOST;
}

function spread(of: (point: HistoryPoint) => Spread): Shown['series'] {
  return (points) => [
    { name: 'Least', colour: 1, values: points.map((point) => of(point)[0]) },
    { name: 'Most', colour: 1, values: points.map((point) => of(point)[2]) },
    { name: 'Mean', colour: 2, values: points.map((point) => of(point)[1]) },
  ];
}
