/**
 * The dashboard: asks the server what the cluster is like, and draws it. Parts draw themselves; here they are put together, and what is chosen in
 * one is told to the others.
 */
import { byId, setAttribute, setText } from './dom.ts';
import { Feed, type FeedState } from './feed.ts';
import { duration } from './format.ts';
import type { Problem } from './health.ts';
import { Load } from './load.ts';
import { ALL, type Choice, type Model, modelOf } from './model.ts';
import { Operators } from './operators.ts';
import { Overview } from './overview.ts';
import { Shards } from './shards.ts';
import { Tables } from './tables.ts';
import { keepTheme } from './theme.ts';
import { Topology } from './topology.ts';
import { showLive, showTrouble } from './trouble.ts';

const SECOND_MS = 1_000;

class Page {
  readonly #overview: Overview = new Overview((problem) => this.#look(problem));
  readonly #load: Load = new Load();
  readonly #topology: Topology = new Topology((node) => this.#choose({ ...this.#choice, node }));
  readonly #shards: Shards = new Shards((choice) => this.#choose(choice));
  readonly #operators: Operators = new Operators();
  readonly #tables: Tables = new Tables((table) => {
    this.#choose({ ...ALL, table });
    goTo('shards');
  });
  readonly #feed: Feed = new Feed((state) => this.#show(state));
  #model: Model | undefined;
  #choice: Choice = ALL;

  start(): void {
    keepTheme(byId('theme'));
    const pause = byId('pause');
    pause.addEventListener('click', () => {
      const paused = !this.#feed.state.paused;
      setAttribute(pause, 'aria-pressed', String(paused));
      setText(pause, paused ? 'Go on' : 'Pause');
      this.#feed.setPaused(paused);
    });
    window.setInterval(() => {
      const { failure, gotAtMs, paused } = this.#feed.state;
      showLive(failure, gotAtMs, paused);
    }, SECOND_MS);
    this.#feed.start();
  }

  #show(state: FeedState): void {
    showTrouble(state);
    const { view, history } = state;
    if (view === undefined) return;
    // A question that failed has changed nothing below.
    if (this.#model?.view === view) return;
    this.#model = modelOf(view, history);
    this.#overview.update(this.#model);
    this.#load.update(this.#model);
    this.#operators.update(this.#model);
    this.#tables.update(this.#model);
    this.#drawChosen(this.#model);
    const { clusterId, verdict, foot } = wordsOf(this.#model);
    setText(byId('cluster'), clusterId);
    setText(byId('foot'), foot);
    document.title = verdict;
  }

  #choose(choice: Choice): void {
    this.#choice = choice;
    if (this.#model !== undefined) this.#drawChosen(this.#model);
  }

  #drawChosen(model: Model): void {
    this.#topology.update(model, this.#choice);
    this.#shards.update(model, this.#choice);
  }

  #look({ look }: Problem): void {
    if (look === undefined) return;
    this.#choose({ ...ALL, ...look });
    goTo('node' in look ? 'topology' : 'shards');
  }
}

/** The focus goes along, so that the keyboard goes on from there. */
function goTo(section: string): void {
  const target = byId(section);
  target.focus({ preventScroll: true });
  target.scrollIntoView({ behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
}

function wordsOf({ view, verdict }: Model): { clusterId: string; verdict: string; foot: string } {
  const { leader, term, leadsSinceMs, nowMs, answeredBy, release, decisionMs } = view;
  return {
    clusterId: `cluster ${view.clusterId}`,
    verdict: `${verdict.severity === 'bad' || verdict.severity === 'warn' ? '! ' : ''}${verdict.words} - SparrowKV`,
    foot:
      `Node ${leader} leads the metaserver in term ${term}, for ${duration(nowMs - leadsSinceMs)}; its last decision took ${decisionMs.toFixed(1)} ms. ` +
      `Answered by ${answeredBy === 0 ? 'a proxy' : `node ${answeredBy}`}, release ${release}.`,
  };
}

new Page().start();
