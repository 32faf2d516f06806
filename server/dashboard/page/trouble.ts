/** What is said when there is no view, or when the one that is shown is old. */
import { byId, el, setAttribute, setText } from './dom.ts';
import type { Failure, FeedState } from './feed.ts';
import { duration, timeOfDay } from './format.ts';

interface Said {
  readonly title: string;
  readonly text: string;
}

/** What an operator may want to know of each. Unknown ones say their own message. */
const SAID: Readonly<Record<string, (failure: Failure) => Said>> = {
  UNREACHABLE: () => ({
    title: 'This node does not answer',
    text: `There is no answer from ${location.host}. It may be stopped, or the network between it and this browser may be. Any other node of the cluster shows the same page.`,
  }),
  NO_LEADER: ({ answeredBy }) => ({
    title: 'The metaserver has no leader',
    text: `Shards go on serving, but nothing is moved, split or repaired until a majority of the metaserver's nodes can reach each other${asked(answeredBy)}.`,
  }),
  META_STARTING: ({ answeredBy }) => ({
    title: 'The metaserver is starting',
    text: `Its leader reads what it decides by; that takes a moment${asked(answeredBy)}.`,
  }),
  META_UNREACHABLE: ({ answeredBy, message }) => ({
    title: 'The metaserver cannot be reached',
    text: `${answeredBy === 0 ? 'The proxy' : `Node ${answeredBy}`} answers, but who leads the metaserver does not: ${message}.`,
  }),
};

const STALE_MS = 10_000;

export function showTrouble({ failure, view, gotAtMs, paused }: FeedState): void {
  const box = byId('trouble');
  const waiting = byId('waiting');
  waiting.hidden = view !== undefined || failure !== undefined;
  box.hidden = failure === undefined;
  setAttribute(box, 'data-alone', view === undefined);
  setAttribute(document.documentElement, 'data-stale', failure !== undefined && view !== undefined);
  byId('cluster-view').hidden = view === undefined;
  showLive(failure, gotAtMs, paused);
  if (failure === undefined) return;
  const { title, text } = (
    SAID[failure.code] ??
    ((unknown: Failure): Said => ({
      title: 'The metaserver refuses to answer',
      text: `${unknown.message} (${unknown.code}${unknown.answeredBy === 0 ? '' : `, node ${unknown.answeredBy}`}).`,
    }))
  )(failure);
  const old =
    view === undefined
      ? 'It is asked again every few seconds.'
      : `What is shown is as of ${timeOfDay(gotAtMs)}. It is asked again every few seconds.`;
  const words = `${title} ${text} ${old}`;
  // An alert is read aloud whenever it changes: only then.
  if (box.textContent !== words)
    box.replaceChildren(el('strong', {}, title), ' ', el('span', {}, text), ' ', el('span', { class: 'quiet' }, old));
}

/** Called every second, too. */
export function showLive(failure: Failure | undefined, gotAtMs: number, paused: boolean): void {
  const live = byId('live');
  const age = Date.now() - gotAtMs;
  const state = paused ? 'paused' : failure !== undefined ? 'failed' : gotAtMs === 0 ? 'connecting' : age > STALE_MS ? 'late' : 'live';
  const words = {
    paused: 'Paused',
    failed: gotAtMs === 0 ? 'No answer' : `No answer, ${duration(age)} old`,
    connecting: 'Connecting',
    late: `${duration(age)} old`,
    live: 'Live',
  }[state];
  setAttribute(live, 'data-state', state);
  setText(live.querySelector('.words')!, words);
}

function asked(node: number): string {
  return node === 0 ? '' : ` (node ${node} was asked)`;
}
