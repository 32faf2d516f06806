/**
 * A short life of a node whose shards are split, merged and destroyed while they are written, that passes everything a crash could fall into: a child that is half made, one
 * that is there before its parent's split counts, steps of a merge that were done and not answered, merges that are given up. Each write depends on the value before it and has an id: one
 * that was lost, or done twice, shows. Whoever orders the steps repeats one whose outcome is not known, as the metaserver does.
 */
import { SparrowError } from '../../base/errors.ts';
import type { EngineSettingsInput } from '../../engine/index.ts';
import {
  cancelImport,
  commitMerge,
  encodeWrite,
  importShard,
  NO_LIMIT,
  type Replica,
  resumeShard,
  retireShard,
  sealShard,
  splitShard,
  type SplitAt,
  userKey,
} from '../../server/node/index.ts';
import { coversKey, DEFAULT_TABLE, type ShardDescriptor, type ShardKeys, wholeTable } from '../../server/shard/descriptor.ts';
import { NodeHarness } from '../server/node/node-harness.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { FailingMachine, type Trouble, Wrong } from './failing-machine.ts';

const KIB = 1024;
const ENGINE: EngineSettingsInput = {
  memtableBytes: 64 * KIB,
  tableBytes: 64 * KIB,
  level0Compact: 2,
  level1Bytes: 256 * KIB,
  levelRatio: 2,
  inlineThreshold: 256,
  manifestBytes: 512,
  maxBatchBytes: 8 * KIB * KIB,
  maxValueBytes: KIB * KIB,
};

export interface ShardsLife {
  readonly operations: number;
  readonly crashes: number;
  readonly replayed: number;
  /** Steps of splits and merges that were ordered again. */
  readonly repeated: number;
  /** Most at a time. */
  readonly shards: number;
  /** Files of a child's own, with what it moved out of segments of the log that it has together with its parent. */
  readonly blocks: number;
}

interface Write {
  readonly key: string;
  readonly value: string;
  readonly before: string | undefined;
  readonly sequence: number;
}

/** A merge that is under way, as far as whoever orders it knows. */
interface Merge {
  sealed?: number;
  session?: number;
  source?: ShardDescriptor;
  retired?: boolean;
}

/** `kind`: how the table is divided. */
export async function liveShards(seed: number, trouble: Trouble = {}, kind: ShardKeys['kind'] = 'range'): Promise<ShardsLife> {
  return new Life(seed, trouble, kind).run();
}

/** One of a table of its own, beside that of shard 1. */
const HASH_SHARD: ShardDescriptor = { ...wholeTable(16, 5), keys: { kind: 'hash', bits: 0, index: 0 } };

class Life {
  readonly #machine: FailingMachine;
  readonly #kind: ShardKeys['kind'];
  readonly #known = new Map<string, string>();
  #unanswered: Write[] = [];
  #sequence = 0;
  #node: NodeHarness | undefined;
  /** The source of a merge is retired, and the target has not its keys yet; or the table is not there yet. */
  #hole: ShardDescriptor | undefined;
  #replayed = 0;
  #repeated = 0;
  #shards = 0;
  #blocks = 0;

  constructor(seed: number, trouble: Trouble, kind: ShardKeys['kind']) {
    this.#machine = new FailingMachine(seed, trouble, {
      open: () => this.#open(),
      look: () => this.#look(),
      abandon: () => this.#node?.abandon(),
    });
    this.#kind = kind;
    if (kind === 'hash') this.#hole = HASH_SHARD;
  }

  async run(): Promise<ShardsLife> {
    this.#machine.begin();
    await this.#survive(async () => {
      // Recovering opens it, too.
      if (this.#node === undefined) await this.#open();
    });
    for (const step of this.#kind === 'hash' ? this.#hashScript() : this.#script()) await this.#survive(step);
    await this.#survive(() => this.#look());
    const operations = this.#machine.calm();
    await this.#machine.reopen(() => this.#opened.close());
    const replicas = this.#shardsHere;
    if (replicas.length !== (this.#kind === 'hash' ? 1 : 2))
      throw new Wrong(`shards are left: ${replicas.map(({ group }) => group).join(' ')}`);
    return {
      operations,
      crashes: this.#machine.crashes,
      replayed: this.#replayed,
      repeated: this.#repeated,
      shards: this.#shards,
      blocks: this.#blocks,
    };
  }

  *#script(): Generator<() => Promise<void>> {
    yield () => this.#writes(0);
    yield () => this.#split(1, 1, 16, 'h');
    yield () => this.#writes(1);
    yield () => this.#look();
    yield () => this.#split(16, 2, 17, 'p');
    yield () => this.#writes(2);
    // A merge that is given up.
    const given: Merge = {};
    yield () => this.#seal(17, 3, given);
    yield () => this.#import(16, 17, 3, given);
    yield () => this.#giveUp(16, 17, 3);
    yield () => this.#writes(3);
    yield () => this.#look();
    const first: Merge = {};
    yield () => this.#seal(17, 3, first);
    yield () => this.#import(16, 17, 3, first);
    yield () => this.#retire(17, 3, first);
    yield () => this.#commit(16, 3, first);
    yield () => this.#destroy(17);
    yield () => this.#writes(4);
    yield () => this.#look();
    yield () => this.#split(1, 2, 18, 'd');
    yield () => this.#writes(5);
    const second: Merge = {};
    yield () => this.#seal(18, 3, second);
    yield () => this.#import(16, 18, 4, second);
    yield () => this.#retire(18, 3, second);
    yield () => this.#commit(16, 4, second);
    yield () => this.#destroy(18);
    yield () => this.#writes(6);
  }

  *#hashScript(): Generator<() => Promise<void>> {
    yield () => this.#create();
    yield () => this.#writes(0);
    yield () => this.#split(16, 1, 17);
    yield () => this.#swept(16, 17);
    yield () => this.#writes(1);
    yield () => this.#look();
    // A merge that is given up.
    const given: Merge = {};
    yield () => this.#seal(17, 2, given);
    yield () => this.#import(16, 17, 2, given);
    yield () => this.#giveUp(16, 17, 2);
    yield () => this.#swept(16);
    yield () => this.#writes(2);
    yield () => this.#look();
    const first: Merge = {};
    yield () => this.#seal(17, 2, first);
    yield () => this.#import(16, 17, 2, first);
    yield () => this.#retire(17, 2, first);
    yield () => this.#commit(16, 2, first);
    yield () => this.#destroy(17);
    yield () => this.#writes(3);
    yield () => this.#look();
    // The lower half goes into the upper one.
    yield () => this.#split(16, 3, 18);
    yield () => this.#swept(16, 18);
    yield () => this.#writes(4);
    const second: Merge = {};
    yield () => this.#seal(16, 4, second);
    yield () => this.#import(18, 16, 4, second);
    yield () => this.#retire(16, 4, second);
    yield () => this.#commit(18, 4, second);
    yield () => this.#destroy(16);
    yield () => this.#writes(5);
  }

  async #writes(round: number): Promise<void> {
    const keys = ['a', 'c', 'e', 'g', 'i', 'm', 'o', 'q', 's', 'u', 'w'];
    const issued = keys.map((key, i): Write => {
      const sequence = ++this.#sequence;
      // Some of them large, so that they lie in the node's log.
      const bytes = (i + round) % 3 === 0 ? 1500 + 300 * i : 40;
      return { key, value: `<${sequence}>`.repeat(bytes / 3).slice(0, bytes), before: this.#known.get(key), sequence };
    });
    this.#unanswered.push(...issued);
    await this.#send();
    await this.#machine.pass(500);
  }

  /** Until each has been answered, by whichever shard has its key then. */
  async #send(attempts = 20): Promise<void> {
    const sent = this.#unanswered;
    const answers = await this.#machine.until(Promise.allSettled(sent.map((write) => this.#put(write))));
    for (const [i, answer] of answers.entries()) {
      const write = sent[i]!;
      if (answer.status === 'rejected') {
        if (!this.#machine.over && !isPassing(answer.reason))
          throw new Wrong(`write ${write.sequence} was refused: ${String(answer.reason)}`);
        continue;
      }
      if (answer.value !== 'applied') throw new Wrong(`write ${write.sequence} of ${write.key} came to ${answer.value}`);
      this.#unanswered = this.#unanswered.filter((each) => each !== write);
      this.#known.set(write.key, write.value);
    }
    if (this.#unanswered.length === 0 || this.#machine.over) return;
    // Its keys are nobody's until the merge is done.
    if (this.#hole !== undefined || this.#shardsHere.some(({ shard }) => shard.descriptor.state === 'sealed')) return;
    if (attempts === 0) throw new Wrong('writes are not taken');
    await this.#machine.pass(300);
    await this.#send(attempts - 1);
  }

  async #put({ key, value, before, sequence }: Write): Promise<string> {
    const bytes = Buffer.from(key);
    const owner = this.#owner(bytes);
    if (owner === undefined) throw new SparrowError('unavailable', 'NO_OWNER', 'nobody has the key');
    const condition =
      before === undefined ? { kind: 'absent' as const, key: bytes } : { kind: 'value' as const, key: bytes, value: Buffer.from(before) };
    const id = { client: Buffer.from('client'), sequence, seen: 0 };
    const command = encodeWrite(id, [condition], [{ type: 'put', key: bytes, value: Buffer.from(value) }], owner.shard.descriptor.epoch);
    const { outcome } = await owner.propose(command, NO_LIMIT);
    if (outcome === 'sealed' || outcome === 'other-epoch') throw new SparrowError('unavailable', 'NO_OWNER', outcome);
    return outcome;
  }

  get #opened(): NodeHarness {
    if (this.#node === undefined) throw new Wrong('nothing is open');
    return this.#node;
  }

  get #shardsHere(): Replica[] {
    const table = this.#kind === 'hash' ? HASH_SHARD.table : DEFAULT_TABLE;
    return [...this.#opened.replicas].filter(({ shard }) => shard.descriptor.table === table);
  }

  #owner(key: Uint8Array): Replica | undefined {
    return this.#shardsHere.find(
      ({
        shard: {
          descriptor: { keys, state },
        },
      }) => state !== 'retired' && coversKey(keys, key),
    );
  }

  #replica(shard: number): Replica {
    const replica = this.#opened.replicas.get(shard);
    if (replica === undefined) throw new Wrong(`shard ${shard} is not there`);
    return replica;
  }

  async #create(): Promise<void> {
    await this.#machine.until(this.#opened.replicas.create(HASH_SHARD, [1]));
    this.#hole = undefined;
  }

  /** `key` left out: by hash. */
  async #split(parent: number, epoch: number, child: number, key?: string): Promise<void> {
    const at: SplitAt = key === undefined ? { how: 'hash' } : { how: 'key', key: Uint8Array.from(Buffer.from(key)) };
    // Writes are under way meanwhile.
    const during = this.#replica(parent).engine.sequence % 2 === 0 ? this.#settledWrites() : Promise.resolve();
    await this.#machine.until(splitShard(this.#replica(parent), { epoch, child, at }, NO_LIMIT));
    await this.#machine.until(this.#opened.replicas.adopt(child));
    await this.#machine.until(during);
    if (this.#unanswered.length > 0) await this.#send();
    this.#replica(child);
  }

  /** A write of each key that is answered, or refused, whatever comes of the split. */
  async #settledWrites(): Promise<void> {
    const issued = ['b', 'k', 't'].map((key): Write => {
      const sequence = ++this.#sequence;
      return { key, value: `during ${sequence}`, before: this.#known.get(key), sequence };
    });
    this.#unanswered.push(...issued);
    const answers = await Promise.allSettled(issued.map((write) => this.#put(write)));
    for (const [i, answer] of answers.entries()) {
      if (answer.status === 'rejected' || answer.value !== 'applied') continue;
      this.#unanswered = this.#unanswered.filter((each) => each !== issued[i]);
      this.#known.set(issued[i]!.key, issued[i]!.value);
    }
  }

  async #seal(source: number, epoch: number, merge: Merge): Promise<void> {
    merge.sealed = await this.#machine.until(sealShard(this.#replica(source), epoch, NO_LIMIT));
    merge.source = this.#replica(source).shard.descriptor;
  }

  async #import(target: number, source: number, epoch: number, merge: Merge): Promise<void> {
    for (;;) {
      try {
        const imported = await this.#machine.until(
          importShard(this.#replica(target), epoch, this.#replica(source), merge.sealed!, NO_LIMIT),
        );
        merge.session = imported.session;
        return;
      } catch (error) {
        if (!(error instanceof SparrowError) || error.code !== 'SHARD_UNSWEPT') throw error;
        await this.#swept(target);
      }
    }
  }

  async #swept(...shards: readonly number[]): Promise<void> {
    while (shards.some((shard) => this.#replica(shard).shard.mixed)) await this.#machine.pass(100);
  }

  async #giveUp(target: number, source: number, epoch: number): Promise<void> {
    await this.#machine.until(cancelImport(this.#replica(target), epoch, NO_LIMIT));
    await this.#machine.until(resumeShard(this.#replica(source), epoch, NO_LIMIT));
  }

  async #retire(source: number, epoch: number, merge: Merge): Promise<void> {
    this.#hole = merge.source!;
    await this.#machine.until(retireShard(this.#replica(source), epoch, merge.sealed!, NO_LIMIT));
  }

  async #commit(target: number, epoch: number, merge: Merge): Promise<void> {
    await this.#machine.until(commitMerge(this.#replica(target), epoch, merge.session!, merge.source!, NO_LIMIT));
    this.#hole = undefined;
  }

  async #destroy(shard: number): Promise<void> {
    await this.#machine.until(this.#opened.replicas.destroy(shard));
  }

  async #open(): Promise<void> {
    const opening = NodeHarness.open(this.#machine.fs, {
      scheduler: this.#machine.scheduler,
      clock: new SimClock(this.#machine.scheduler),
      segmentBytes: 16 * KIB,
      checkpointBytes: 20 * KIB,
      logBytesMax: 64 * KIB,
      engine: ENGINE,
    });
    this.#node = await this.#machine.until(opening);
    // A child that was made just now, as the log was read again, is about to be opened.
    for (const name of this.#machine.fs.listSync('/node/groups')) await this.#machine.until(this.#node.replicas.adopt(Number(name)));
    this.#machine.stopped = this.#node.stopped;
    for (const replica of this.#shardsHere) this.#replayed += replica.stats().replayedEntries;
    this.#compare();
    await this.#send();
  }

  /** Each key is had by one shard, with what was acknowledged, or of what was not all or nothing of a write, never anything older. */
  #compare(): void {
    const replicas = this.#shardsHere;
    this.#shards = Math.max(this.#shards, replicas.length);
    const found = new Map<string, string>();
    for (const { group, engine, shard } of replicas) {
      const { descriptor, importing, mixed } = shard;
      if (descriptor.shard !== group) throw new Wrong(`group ${group} takes itself for shard ${descriptor.shard}`);
      for (const [engineKey, value] of engine.scanSync({ gte: Uint8Array.of(1) })) {
        const key = userKey(engineKey);
        const name = Buffer.from(key).toString();
        if (!coversKey(descriptor.keys, key)) {
          if (!mixed && (importing === undefined || !coversKey(importing.keys, key)))
            throw new Wrong(`shard ${group} has ${name}, which is not its own`);
        } else if (descriptor.state !== 'retired') {
          if (found.has(name)) throw new Wrong(`${name} is there twice`);
          found.set(name, Buffer.from(value).toString());
        }
      }
    }
    for (const name of new Set([...this.#known.keys(), 'zz'])) {
      const owners = replicas.filter(
        ({
          shard: {
            descriptor: { keys, state },
          },
        }) => state !== 'retired' && coversKey(keys, Buffer.from(name)),
      );
      const inHole = this.#hole !== undefined && coversKey(this.#hole.keys, Buffer.from(name));
      if (owners.length > 1 || (owners.length === 0 && !inHole))
        throw new Wrong(`${name} is had by ${owners.map(({ group }) => group).join(' and ') || 'nobody'}`);
      if (owners.length === 0) continue;
      const now = found.get(name);
      const known = this.#known.get(name);
      if (now !== known && !this.#unanswered.some(({ key, value }) => key === name && value === now))
        throw new Wrong(`${name} is ${now?.slice(0, 20)}, not ${known?.slice(0, 20)}`);
    }
    for (const [name, value] of found) {
      if (!this.#known.has(name) && !this.#unanswered.some((write) => write.key === name && write.value === value))
        throw new Wrong(`${name} is there: ${value.slice(0, 20)}`);
    }
  }

  async #look(): Promise<void> {
    this.#compare();
    for (const { group, engine } of this.#shardsHere) {
      const { problems } = await this.#machine.until(engine.verify());
      if (problems.length > 0) throw new Wrong(`verify of shard ${group}: ${problems[0]!.file}: ${problems[0]!.what}`);
      this.#blocks = Math.max(this.#blocks, this.#machine.fs.listSync(engine.path).filter((name) => name.endsWith('.block')).length);
    }
  }

  /** Does a step, and again, when machine or disk failed, until it is done. */
  async #survive(step: () => Promise<void>): Promise<void> {
    while (!(await this.#machine.attempt(step))) {
      if (!this.#machine.over) await this.#machine.pass(300).catch(() => undefined);
      if (this.#machine.over) await this.#machine.recover();
      this.#repeated++;
    }
  }
}

/** It may be done later, or by another shard. */
function isPassing(error: unknown): boolean {
  return error instanceof SparrowError && (error.code === 'NO_OWNER' || (error.code === 'DISK_FULL' && error.details['applied'] === false));
}
