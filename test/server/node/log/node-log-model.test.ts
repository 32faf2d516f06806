import { describe, expect, it } from 'vitest';
import type { GroupLog, NodeLog } from '../../../../server/node/log/index.ts';
import { CRASH_MODES } from '../../../sim/sim-file.ts';
import { PowerLoss, SimFileSystem } from '../../../sim/sim-file-system.ts';
import { SimRandom } from '../../../sim/sim-random.ts';
import { EMPTY, isState, lastOf, type ModelState, type ModelStep, possible, stepped, voteIn } from './group-model.ts';
import { contentsOf, entry, openLog } from './open-log.ts';

describe('the log of a node, at random', () => {
  it('has what a simple model has, through closing and opening', async () => {
    let steps = 0;
    for (let seed = 1; seed <= 20; seed++) steps += (await new Life(seed, false).run()).steps;
    expect(steps).toBeGreaterThan(3000);
  });

  it('keeps what was acknowledged through crashes at any operation, whatever unsynced sectors survive', async () => {
    let crashes = 0;
    for (let seed = 1; seed <= 120; seed++) crashes += (await new Life(seed, true).run()).crashes;
    expect(crashes).toBeGreaterThan(250);
  });
});

interface Group {
  /** Acknowledged. */
  state: ModelState;
  /** The last state with what a sync has made durable of it. */
  synced: ModelState;
  /** Issued since. */
  steps: ModelStep[];
  serial: number;
}

const GROUPS = 6;

class Life {
  readonly #random: SimRandom;
  readonly #fileSystem: SimFileSystem;
  readonly #crashing: boolean;
  readonly #groups: Map<number, Group> = new Map();
  readonly #segmentBytes: number;
  #log: NodeLog | undefined;
  #steps = 0;
  #crashes = 0;

  constructor(seed: number, crashing: boolean) {
    this.#random = SimRandom.mixed(seed);
    this.#fileSystem = new SimFileSystem({ seed });
    this.#crashing = crashing;
    this.#segmentBytes = this.#random.pick([500, 2000, 10_000]);
    for (let id = 1; id <= GROUPS; id++) this.#groups.set(id, { state: EMPTY, synced: EMPTY, steps: [], serial: 0 });
  }

  async run(): Promise<{ steps: number; crashes: number }> {
    for (let life = 0; life < 5; life++) {
      if (this.#crashing) this.#fileSystem.killAt(this.#fileSystem.operations + 1 + this.#random.below(this.#random.pick([8, 40, 150])));
      try {
        await this.#live();
      } catch (error) {
        const { cause } = error as { cause?: unknown };
        if (!(error instanceof PowerLoss) && !(cause instanceof PowerLoss)) throw error;
        this.#crashes++;
      }
      this.#log?.abort();
      this.#log = undefined;
      if (this.#crashing) {
        if (this.#random.chance(0.2)) this.#fileSystem.endProcess();
        else this.#fileSystem.crash(this.#random.pick(CRASH_MODES));
      }
      await this.#check();
    }
    return { steps: this.#steps, crashes: this.#crashes };
  }

  async #live(): Promise<void> {
    const log = (this.#log = this.#open());
    for (let turn = 0; turn < 15; turn++) {
      const together = 1 + this.#random.below(5);
      const done: Promise<void>[] = [];
      for (let i = 0; i < together; i++) done.push(this.#step(log, 1 + this.#random.below(GROUPS)));
      const results = await Promise.allSettled(done);
      for (const result of results) if (result.status === 'rejected') throw result.reason;
      if (this.#random.chance(0.3)) await this.#read(log);
    }
    await log.close();
  }

  #open(): NodeLog {
    return openLog(this.#fileSystem, { segmentBytes: this.#segmentBytes, cacheBytes: 2000 });
  }

  async #step(log: NodeLog, id: number): Promise<void> {
    const group = this.#groups.get(id)!;
    const current = group.steps.reduce((state, step) => stepped(state, step), group.state);
    const step = this.#draw(group, current);
    if (group.steps.at(-1)?.kind === 'remove') return;
    this.#steps++;
    if (step.kind === 'compact') {
      // Of what is durable already: the replica has applied it.
      if (group.steps.length > 0) return;
      log.group(id).compact(step.index);
      group.state = stepped(group.state, step);
      return;
    }
    group.steps.push(step);
    await issue(log.group(id), step);
    // Promises settle in order: all before it are durable too.
    const settled = group.steps.indexOf(step) + 1;
    for (const each of group.steps.splice(0, settled)) group.state = stepped(group.state, each);
    if (step.kind !== 'append' || step.mustSync || step.entries.length > 0) group.synced = group.state;
  }

  #draw(group: Group, current: ModelState): ModelStep {
    const random = this.#random;
    const { begin, commit } = current;
    const last = lastOf(current);
    const chance = random.below(100);
    if (chance < 8) return { kind: 'compact', index: begin + random.below(Math.max(1, commit - begin + 1)) };
    if (chance < 10) return { kind: 'restore', index: last + 1 + random.below(500) };
    if (chance < 12) return { kind: 'remove' };
    if (chance < 15) return { kind: 'retire' };
    const term = current.term + (random.chance(0.2) || current.term === 0 ? 1 : 0);
    const from = term > current.term && random.chance(0.7) ? Math.max(commit, begin, last - random.below(6)) : last;
    const entries = Array.from({ length: random.below(5) }, (_, i) =>
      entry(from + 1 + i, term, `${group.serial++} ${'d'.repeat(random.below(150))}`),
    );
    const hardState = { term, vote: voteIn(term), commit: Math.max(commit, begin, Math.min(from, last - random.below(4))) };
    return { kind: 'append', hardState, entries, mustSync: term > current.term || random.chance(0.5) };
  }

  async #read(log: NodeLog): Promise<void> {
    for (const [id, { state, steps }] of this.#groups) {
      if (steps.length > 0) continue;
      expect(await contentsOf(log.group(id), this.#random.pick([1, 200, 5000]))).toEqual(state.entries);
      const index = state.begin + 1 + this.#random.below(state.entries.length + 1);
      expect(log.group(id).term(index)).toBe(termOf(state.entries[index - state.begin - 1]));
    }
  }

  /** Opens what is left, and takes it as what is known from here on. */
  async #check(): Promise<void> {
    const log = this.#open();
    expect(log.damage).toEqual([]);
    for (const [id, group] of this.#groups) {
      const found = log.group(id).contents();
      const texts = await contentsOf(log.group(id), 500);
      expect(found.damage).toBeUndefined();
      const states = [...possible(group.state, group.steps)];
      const state = states.findLast((each) =>
        isState(found, texts, each, group.steps.some(({ kind }) => kind === 'remove') ? EMPTY : group.synced),
      );
      if (state === undefined) expect({ ...found, texts }, `group ${id}`).toEqual(states);
      const { hardState, compactedIndex, retired } = found;
      const { term, commit } = hardState;
      const begin = compactedIndex;
      group.synced = { term, commit, begin, entries: texts, retired };
      group.state = { ...group.synced, commit: Math.max(commit, begin) };
      group.steps = [];
    }
    log.abort();
    // The process ends; what was made durable by opening stays.
    await Promise.resolve();
  }
}

function termOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(/\/(\d+) /.exec(text)![1]);
}

function issue(log: GroupLog, step: Exclude<ModelStep, { kind: 'compact' }>): Promise<void> {
  if (step.kind === 'append') return log.append(step.hardState, step.entries, step.mustSync);
  if (step.kind === 'restore') return log.restore(step.index, 1);
  return step.kind === 'retire' ? log.retire() : log.remove();
}
