/** Power loss and the end of the process at every operation of a node that makes and destroys replicas. */
import { describe, expect, it } from 'vitest';
import { wholeTable } from '../../server/shard/descriptor.ts';
import { NodeHarness } from '../server/node/node-harness.ts';
import { CRASH_MODES, type CrashMode } from '../sim/sim-file.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

/** What is known of a group: the latest that was acknowledged, and what is under way. */
interface Known {
  state: 'none' | 'there' | 'destroyed';
  /** It may be there, or gone. */
  making: boolean;
  destroying: boolean;
  keys: string[];
  term: number;
}

const SHARDS = [20, 21, 22];

class Life {
  readonly #disk: SimFileSystem;
  readonly #known: Map<number, Known> = new Map(
    SHARDS.map((shard) => [shard, { state: 'none', making: false, destroying: false, keys: [], term: 0 }]),
  );
  #node: NodeHarness | undefined;
  #found = { halfMade: 0, halfDestroyed: 0 };

  constructor(seed: number) {
    this.#disk = new SimFileSystem({ seed });
  }

  get found(): { readonly halfMade: number; readonly halfDestroyed: number } {
    return this.#found;
  }

  /** Returns the operations of the disk. */
  async run(killAt: number, mode: CrashMode | 'process'): Promise<number> {
    this.#node = await NodeHarness.open(this.#disk);
    const from = this.#disk.operations;
    this.#disk.killAt(from + killAt);
    try {
      await this.#script(this.#node);
    } catch (error) {
      if (!this.#disk.dead) throw error;
    }
    const operations = this.#disk.operations - from;
    if (this.#disk.dead) {
      this.#node.abandon();
      // What was under way ends, on a disk that is not there.
      await new Promise((resolve) => setImmediate(resolve));
      if (mode === 'process') this.#disk.endProcess();
      else this.#disk.crash(mode);
    } else await this.#node.close();
    this.#disk.killAt(Infinity);
    this.#node = await NodeHarness.open(this.#disk);
    this.#check(this.#node);
    await this.#node.close();
    return operations;
  }

  async #script(node: NodeHarness): Promise<void> {
    await Promise.all(SHARDS.map((shard) => this.#make(node, shard, [1])));
    for (const shard of SHARDS) await this.#put(node, shard, 'first');
    await this.#destroy(node, 20);
    await this.#put(node, 21, 'second');
    await this.#make(node, 20, []);
    await Promise.all([this.#destroy(node, 20), this.#destroy(node, 22)]);
    await this.#put(node, 21, 'third');
  }

  async #make(node: NodeHarness, shard: number, voters: readonly number[]): Promise<void> {
    const known = this.#known.get(shard)!;
    known.making = true;
    await node.replicas.create({ ...wholeTable(shard, 5), epoch: 2 }, voters);
    known.making = false;
    known.state = 'there';
    known.keys = [];
  }

  async #put(node: NodeHarness, shard: number, key: string): Promise<void> {
    await node.put(shard, key, 'x'.repeat(300));
    const known = this.#known.get(shard)!;
    known.keys.push(key);
    known.term = node.replicas.get(shard)!.stats().term;
  }

  async #destroy(node: NodeHarness, shard: number): Promise<void> {
    const known = this.#known.get(shard)!;
    known.destroying = true;
    await node.replicas.destroy(shard);
    known.destroying = false;
    known.state = 'destroyed';
  }

  #check(node: NodeHarness): void {
    expect(node.stopped).toEqual([]);
    expect(node.groups.slice(0, 2)).toEqual([1, 2]);
    for (const [shard, { state, making, destroying, keys, term }] of this.#known) {
      const replica = node.replicas.get(shard);
      if (!making && !destroying) expect(replica !== undefined, `shard ${shard}`).toBe(state === 'there');
      if (making && replica === undefined) this.#found.halfMade++;
      if (replica !== undefined && !making) {
        // Whole, or not begun to go.
        for (const key of keys) expect(node.get(shard, key)).toBe('x'.repeat(300));
        expect(replica.shard.descriptor).toMatchObject({ shard, epoch: 2, table: 5 });
      }
      if (destroying && replica === undefined) this.#found.halfDestroyed++;
      // What it promised outlives it.
      const { hardState, retired } = node.log.group(shard).contents();
      expect(hardState.term, `shard ${shard}`).toBeGreaterThanOrEqual(term);
      if (term > 0 && replica === undefined) expect(retired).toBe(true);
    }
  }
}

describe('a node that makes and destroys replicas', () => {
  it('has each of them whole or not at all, and its promises, whatever operation power is lost at', { timeout: 600_000 }, async () => {
    const operations = await new Life(1).run(Infinity, 'all');
    expect(operations).toBeGreaterThan(100);
    const modes = [...CRASH_MODES, 'process'] as const;
    const found = { halfMade: 0, halfDestroyed: 0 };
    for (let at = 1; at <= operations; at++) {
      const life = new Life(at);
      const mode = modes[at % modes.length]!;
      try {
        await life.run(at, mode);
      } catch (error) {
        throw new Error(`operation ${at}, ${mode}: ${(error as Error).message}`, { cause: error });
      }
      found.halfMade += life.found.halfMade;
      found.halfDestroyed += life.found.halfDestroyed;
    }
    expect(found.halfMade).toBeGreaterThan(5);
    expect(found.halfDestroyed).toBeGreaterThan(5);
  });
});
