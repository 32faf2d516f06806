/** What the metaserver does, would do next, and has done, each with its reason and its steps. */
import type { BlockedView, OperatorView, PlannedView } from '../cluster-view.ts';
import { byId, el, type Kept, KeptList, setAttribute, setText } from './dom.ts';
import { dayAndTime, duration, listed, plural } from './format.ts';
import { capital } from './health.ts';
import type { Model } from './model.ts';

const SEVERITIES: Readonly<Record<string, string>> = { running: 'busy', done: 'well', failed: 'bad', cancelled: 'warn' };
const SHOWN = 30;

export class Operators {
  readonly #running: KeptList<OperatorView>;
  readonly #ended: KeptList<OperatorView>;
  readonly #plan: HTMLElement = el('ul', { class: 'operator-list' });
  readonly #none: HTMLElement = el('p', { class: 'empty' }, 'Nothing is being moved, split, merged or repaired.');
  readonly #noneEnded: HTMLElement = el('p', { class: 'empty' }, 'None yet.');
  readonly #nonePlanned: HTMLElement = el('p', { class: 'empty' }, 'Nothing: every rule of placement is kept.');
  #nowMs = 0;

  constructor() {
    const running = el('ul', { class: 'operator-list' });
    const ended = el('ul', { class: 'operator-list' });
    this.#running = new KeptList(
      running,
      ({ id }) => id,
      () => this.#row(),
    );
    this.#ended = new KeptList(
      ended,
      ({ id }) => id,
      () => this.#row(),
    );
    byId('operator-lists').append(
      el('div', {}, el('h3', {}, 'At work'), this.#none, running),
      el('div', {}, el('h3', {}, 'Next'), this.#nonePlanned, this.#plan),
      el('div', {}, el('h3', {}, 'Ended'), this.#noneEnded, ended),
    );
  }

  update({ view }: Model): void {
    this.#nowMs = view.nowMs;
    const { operators, ended, plan, blocked } = view;
    this.#running.update(operators.slice(0, SHOWN));
    this.#ended.update(ended.slice(0, SHOWN));
    this.#none.hidden = operators.length > 0;
    this.#noneEnded.hidden = ended.length > 0;
    this.#nonePlanned.hidden = plan.length + blocked.length > 0;
    this.#plan.replaceChildren(...plan.slice(0, SHOWN).map(plannedRow), ...blockedRows(blocked));
    const more = operators.length > SHOWN || plan.length > SHOWN ? `; the first ${SHOWN} are shown` : '';
    setText(byId('operators-summary'), `${plural(operators.length, 'operator')} at work, ${plan.length} next${more}`);
  }

  #row(): Kept<OperatorView> {
    const title = el('strong');
    const state = el('span', { class: 'mark' });
    const when = el('span', { class: 'quiet' });
    const reason = el('p');
    const steps = el('ol', { class: 'steps' });
    const note = el('p', { class: 'quiet' });
    return {
      element: el('li', { class: 'operator' }, el('div', { class: 'operator-head' }, title, state, when), reason, steps, note),
      update: (operator) => {
        setText(title, titleOf(operator));
        setText(state, operator.state);
        setAttribute(state, 'data-severity', SEVERITIES[operator.state] ?? 'busy');
        setText(when, this.#when(operator));
        setText(reason, capital(operator.reason));
        setText(note, operator.note);
        note.hidden = operator.note === '';
        showSteps(steps, operator);
      },
    };
  }

  #when({ state, beganMs, endedMs, by }: OperatorView): string {
    const who = by === 'policy' || by === '' ? '' : `asked for by ${by}, `;
    if (state === 'running') return `${who}for ${duration(this.#nowMs - beganMs)}`;
    return `${who}${dayAndTime(endedMs)}, took ${duration(endedMs - beganMs)}`;
  }
}

function showSteps(list: HTMLElement, { steps, step, state }: OperatorView): void {
  if (list.children.length !== steps.length) list.replaceChildren(...steps.map(() => el('li')));
  for (const [index, each] of steps.entries()) {
    const item = list.children[index]!;
    setText(item, each.what);
    setAttribute(item, 'data-state', each.state);
    setAttribute(item, 'aria-current', state === 'running' && index === step ? 'step' : undefined);
  }
}

function plannedRow({ kind, shard, reason, steps }: PlannedView): HTMLElement {
  return el(
    'li',
    { class: 'operator' },
    el('div', { class: 'operator-head' }, el('strong', {}, titleOf({ kind, shard }))),
    el('p', {}, capital(reason)),
    el('ol', { class: 'steps' }, ...steps.map((what) => el('li', { 'data-state': 'pending' }, what))),
  );
}

/** One for each reason. */
function blockedRows(blocked: readonly BlockedView[]): HTMLElement[] {
  return [...Map.groupBy(blocked, ({ reason }) => reason)].map(([reason, of]) => {
    const shards = listed(
      of.map(({ shard }) => String(shard)),
      SHOWN,
    );
    const title = el('strong', {}, `Shard${of.length === 1 ? '' : 's'} ${shards}`);
    const mark = el('span', { class: 'mark', 'data-severity': 'warn' }, 'cannot be done now');
    return el('li', { class: 'operator' }, el('div', { class: 'operator-head' }, title, mark), el('p', {}, capital(reason)));
  });
}

function titleOf({ kind, shard, other = 0 }: { readonly kind: string; readonly shard: number; readonly other?: number }): string {
  if (shard === 0) return capital(kind);
  return `${capital(kind)}: shard ${shard}${other === 0 ? '' : kind === 'merge' ? ` takes in ${other}` : ` gives half to ${other}`}`;
}
