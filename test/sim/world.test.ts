import { describe, expect, it } from 'vitest';
import type { File } from '../../base/env.ts';
import { Counters } from './counters.ts';
import { BEARABLE, drawPlan } from './draw-plan.ts';
import { type Fault, followPlan, heal } from './fault-plan.ts';
import { shrink } from './shrink.ts';
import type { Ending, Environment, Program } from './sim-node.ts';
import { World } from './world.ts';

/** Counts up in a file every 10 ms, once synced and once not; tells what it found. */
class Counting {
  readonly lives: { found: number[]; ticks: number }[] = [];
  files: File[] = [];

  readonly boot = async ({ fileSystem, scheduler, exit }: Environment): Promise<Program> => {
    fileSystem.makeDirectorySync('/data');
    this.files = ['/data/synced', '/data/cached'].map((path) =>
      fileSystem.openSync(path, fileSystem.existsSync(path) ? 'write' : 'create'),
    );
    fileSystem.syncDirectorySync('/data');
    const numbers = this.files.map((file) => {
      const bytes = new Uint8Array(1);
      file.readSync(bytes, 0, 1, 0);
      return bytes[0]!;
    });
    const life = { found: numbers, ticks: 0 };
    this.lives.push(life);
    let next = Math.max(...numbers);
    const tick = async (): Promise<void> => {
      next++;
      for (const file of this.files) file.writeSync(Uint8Array.of(next), 0, 1, 0);
      await this.files[0]!.datasync();
      life.ticks++;
      scheduler.after(10, () => void tick().catch(exit));
    };
    await tick();
    return { digest: () => String(next) };
  };
}

async function lives(ending: Ending): Promise<Counting['lives']> {
  const world = new World({ seed: 1 });
  const counting = new Counting();
  const node = world.addNode('a', counting.boot);
  await world.run(100);
  expect(node.program?.digest()).toBe('10');
  node.end(ending, 50);
  expect(node.program).toBeUndefined();
  await world.run(49);
  expect(counting.lives).toHaveLength(1);
  await world.run(20);
  return counting.lives;
}

describe('a node', () => {
  it('that loses power finds what was durable, and nothing of its earlier life runs on', async () => {
    const [before, after] = await lives('none');
    expect(after!.found).toEqual([before!.ticks, 0]);
    expect(before!.ticks).toBeLessThanOrEqual(10);
  });

  it('whose process dies finds what it wrote', async () => {
    const [before, after] = await lives('process');
    expect(after!.found[1]).toBe(after!.found[0]);
    expect(after!.found[0]).toBeGreaterThanOrEqual(before!.ticks);
  });

  it('can be ended in the midst of an operation', async () => {
    const world = new World({ seed: 1 });
    const counting = new Counting();
    const node = world.addNode('a', counting.boot);
    await world.run(100);
    node.endAtOperation(3, 'none', 10);
    await world.run(100);
    expect(counting.lives).toHaveLength(2);
    expect(world.counters.get('ended in an operation')).toBe(1);
  });

  it('stands still while it is paused, and goes on', async () => {
    const world = new World({ seed: 1 });
    const counting = new Counting();
    const node = world.addNode('a', counting.boot);
    await world.run(100);
    const ticks = counting.lives[0]!.ticks;
    node.pause(1000);
    await world.run(900);
    expect(counting.lives[0]!.ticks).toBe(ticks);
    await world.run(200);
    expect(counting.lives[0]!.ticks).toBeGreaterThan(ticks + 5);
  });

  it('that exits is started again; an error of ours is an alarm', async () => {
    for (const [error, alarming] of [
      [Object.assign(new Error('EIO'), { code: 'EIO' }), false],
      [new TypeError('a bug'), true],
    ] as const) {
      const world = new World({ seed: 1 });
      let boots = 0;
      world.addNode('a', ({ exit, scheduler }) => {
        if (boots++ === 0) scheduler.after(10, () => exit(error));
        return Promise.resolve({ digest: () => '' });
      });
      const run = world.run(1000);
      if (alarming) await expect(run).rejects.toThrow('a bug');
      else {
        await run;
        expect(boots).toBe(2);
      }
    }
  });

  it('has a clock that drifts, stands still, and jumps, while timers go by the world', async () => {
    const world = new World({ seed: 1 });
    const { clock } = world.addNode('a', () => Promise.resolve({ digest: () => '' }));
    clock.drift(0.5);
    const began = clock.monotonicMs();
    await world.run(100);
    expect(clock.monotonicMs() - began).toBeCloseTo(150);
    clock.drift(-1);
    await world.run(100);
    expect(clock.monotonicMs() - began).toBeCloseTo(150);
    const wall = clock.wallMs();
    clock.jumpWall(-5000);
    expect(clock.wallMs() - wall).toBeCloseTo(-5000);
    expect(clock.monotonicMs() - began).toBeCloseTo(150);
  });
});

describe('a plan of faults', () => {
  const options = { nodes: ['a', 'b'], clients: ['c'], forMs: 1000, faultsMax: 10, ...BEARABLE };

  it('is drawn from its seed, is plain data, and ends by itself', async () => {
    const counters = new Counters();
    for (let seed = 1; seed <= 60; seed++) {
      const plan = drawPlan(seed, options);
      expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
      expect(drawPlan(seed, options)).toEqual(plan);
      const world = new World({ seed });
      const counting = [new Counting(), new Counting()];
      const nodes = ['a', 'b'].map((name, i) => world.addNode(name, counting[i]!.boot));
      followPlan(world, plan);
      await world.run(1000);
      heal(world);
      await world.run(2000);
      expect(nodes.map(({ program }) => program !== undefined)).toEqual([true, true]);
      expect([world.links.isOpen('a', 'b'), world.links.isOpen('c', 'a')]).toEqual([true, true]);
      counters.addAll(world.counters);
    }
    // Without connections there is nothing to sever, and without an engine nothing to keep up.
    counters.assertReached(options.kinds.filter((kind) => !['sever', 'mute', 'disk', 'upkeep'].includes(kind)));
    expect(() => counters.assertReached(['never'])).toThrow('not reached 1 times: never (0)');
  });

  it('keeps nodes apart for as long as it says', async () => {
    const world = new World({ seed: 1 });
    const partition: Fault = { atMs: 10, kind: 'partition', some: ['a'], others: ['b', 'c'], way: 'there', forMs: 20 };
    followPlan(world, [partition]);
    const isOpen = (): boolean[] => [world.links.isOpen('a', 'b'), world.links.isOpen('b', 'a'), world.links.isOpen('a', 'c')];
    await world.run(15);
    expect(isOpen()).toEqual([false, true, false]);
    await world.run(20);
    expect(isOpen()).toEqual([true, true, true]);
  });
});

describe('shrinking', () => {
  it('leaves what it takes and nothing else', async () => {
    const items = Array.from({ length: 40 }, (_, i) => i);
    let tries = 0;
    const fails = (some: readonly number[]): Promise<boolean> => {
      tries++;
      return Promise.resolve(some.includes(7) && some.includes(8) && some.includes(31));
    };
    expect(await shrink(items, fails)).toEqual([7, 8, 31]);
    expect(tries).toBeLessThan(120);
    expect(await shrink(items, () => Promise.resolve(true))).toEqual([]);
    expect(await shrink([1], (some) => Promise.resolve(some.length === 1))).toEqual([1]);
  });
});
