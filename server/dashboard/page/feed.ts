/**
 * Asks /api/cluster again and again, and says what came of it. History comes in pieces and is put together here.
 *
 * Asks seldom while nobody can see the page, at once when somebody can again, and less and less often while there is no answer.
 */
import type { ClusterView, HistoryPoint, ProblemView } from '../cluster-view.ts';

const EVERY_MS = 2_000;
/** With many shards an answer is large. */
const EVERY_MS_MANY = 5_000;
const MANY_SHARDS = 2_000;
const PAUSE_MS_MAX = 10_000;
const ANSWER_MS_MAX = 8_000;
const HISTORY_MAX = 720;

export interface Failure {
  /** Of the answer; UNREACHABLE when there was none. */
  readonly code: string;
  readonly message: string;
  /** The node that said so; 0: nobody. */
  readonly answeredBy: number;
}

export interface FeedState {
  /** The last view there was. */
  readonly view: ClusterView | undefined;
  readonly history: readonly HistoryPoint[];
  /** By the browser's clock; 0: never. */
  readonly gotAtMs: number;
  /** Why the last question brought no view. */
  readonly failure: Failure | undefined;
  readonly paused: boolean;
}

export class Feed {
  readonly #onChange: (state: FeedState) => void;
  #state: FeedState = { view: undefined, history: [], gotAtMs: 0, failure: undefined, paused: false };
  #timer = 0;
  #asking = false;
  #failures = 0;

  constructor(onChange: (state: FeedState) => void) {
    this.#onChange = onChange;
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#soon(0);
    });
  }

  get state(): FeedState {
    return this.#state;
  }

  start(): void {
    this.#soon(0);
  }

  setPaused(paused: boolean): void {
    this.#set({ paused });
    if (!paused) this.#soon(0);
  }

  #soon(ms: number): void {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#ask(), ms);
  }

  async #ask(): Promise<void> {
    if (this.#asking || this.#state.paused || document.hidden) return;
    this.#asking = true;
    try {
      const since = this.#state.history.at(-1)?.atMs ?? 0;
      const response = await fetch(`/api/cluster?since=${since}`, { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      const answer: unknown = await response.json();
      if (response.ok) this.#take(answer as ClusterView);
      else this.#fail((answer as ProblemView).error);
    } catch {
      this.#fail({ code: 'UNREACHABLE', message: 'the node does not answer', answeredBy: 0 });
    } finally {
      this.#asking = false;
      const every = (this.#state.view?.shardsInAll ?? 0) > MANY_SHARDS ? EVERY_MS_MANY : EVERY_MS;
      this.#soon(Math.min(PAUSE_MS_MAX, every * (1 + this.#failures)));
    }
  }

  #take(view: ClusterView): void {
    this.#failures = 0;
    const { points } = view.history;
    const first = points[0]?.atMs ?? Infinity;
    const history = [...this.#state.history.filter(({ atMs }) => atMs < first), ...points].slice(-HISTORY_MAX);
    this.#set({ view, history, gotAtMs: Date.now(), failure: undefined });
  }

  #fail(failure: Failure): void {
    this.#failures++;
    this.#set({ failure });
  }

  #set(change: Partial<FeedState>): void {
    this.#state = { ...this.#state, ...change };
    this.#onChange(this.#state);
  }
}
