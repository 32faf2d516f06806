/**
 * A client of a cluster of shards: sends each call to the shard that has its key, with the epoch that it knows, to the node that leads the shard as far as it knows. What it knows it has
 * from refusals alone: newer shards from WRONG_SHARD, leaders from NOT_LEADER. Where it knows nothing, and now and then though it does, it leaves the shard to the node.
 * All keys of a call are of one shard.
 */
import { RequestIds } from '../../../client/request-ids.ts';
import { decodeShardNotes, type ShardNote } from '../../../proto/index.ts';
import { coversKey, DEFAULT_TABLE } from '../../../server/shard/descriptor.ts';
import type { Changes, Condition, Found, KvClient, Outcome, WriteAnswer } from '../kv-client.ts';
import { type AnswerFrame, decodeAnswer, encodeFrame, type RequestFrame } from '../kv-frames.ts';
import type { SimConnection, SimEndpoint } from '../sim-network.ts';
import type { SimRandom } from '../sim-random.ts';
import type { World } from '../world.ts';

const RETRY_MS = 40;
/** An answer that takes longer is asked for again, elsewhere. */
const PATIENCE_MS = 700;
/** Calls that name no shard though one is known. */
const UNNAMED_CHANCE = 0.05;

type Terms = Omit<RequestFrame, 'call' | 'shard' | 'epoch'>;

/** Nothing is known of what became of it: the connection ended, or nothing came in time. */
const LOST = undefined;

interface Link {
  readonly connection: SimConnection;
  readonly waiting: Map<number, (answer: AnswerFrame | typeof LOST) => void>;
}

export class RoutingClient implements KvClient {
  readonly name: string;
  readonly #home: ShardNote | undefined;
  readonly #world: World;
  readonly #servers: readonly string[];
  readonly #timeoutMs: number;
  readonly #random: SimRandom;
  readonly #endpoint: SimEndpoint;
  readonly #ids: RequestIds;
  readonly #links: Map<string, Link> = new Map();
  readonly #shards: Map<number, ShardNote> = new Map();
  /** By shard, 0 for calls that name none: the server that is asked. */
  readonly #asked: Map<number, number> = new Map();
  /** By shard, the largest version that it told. */
  readonly #seen: Map<number, number> = new Map();
  #next = 1;

  /** `home`: what it knows before it is told anything, of another table than nodes look for keys in by themselves. */
  constructor(world: World, name: string, servers: readonly string[], timeoutMs: number, home?: ShardNote) {
    this.#home = home;
    this.name = name;
    this.#world = world;
    this.#servers = servers;
    this.#timeoutMs = timeoutMs;
    this.#random = world.random.fork();
    this.#endpoint = world.network.endpoint(name);
    this.#ids = new RequestIds(Buffer.from(name));
  }

  async read(keys: readonly string[], anyNode?: { readonly staleMs: number }): Promise<Outcome<readonly Found[]>> {
    const outcome = await this.#call(keys[0]!, () => ({ read: keys, anyNode }));
    return outcome.status === 'answered' ? { status: 'answered', answer: outcome.answer.found! } : outcome;
  }

  async write(changes: Changes, conditions: readonly Condition[] = []): Promise<Outcome<WriteAnswer>> {
    const { sequence } = this.#ids.begin();
    let seen: number | undefined;
    const outcome = await this.#call(Object.keys(changes)[0]!, (shard) => {
      seen ??= this.#seen.get(shard) ?? 0;
      return { write: { client: this.name, sequence, seen, changes, conditions } };
    });
    this.#ids.end(sequence);
    return outcome.status === 'answered' ? { status: 'answered', answer: outcome.answer.written! } : outcome;
  }

  async #call(key: string, termsFor: (shard: number) => Terms): Promise<Outcome<AnswerFrame>> {
    const untilMs = this.#world.nowMs + this.#timeoutMs;
    let uncertain = false;
    for (let attempt = 0; this.#world.nowMs < untilMs; attempt++) {
      if (attempt > 0) await this.#world.sleep(RETRY_MS * (0.5 + this.#random.fraction()));
      if (uncertain) this.#world.counters.add('sent again');
      const place = (this.#random.chance(UNNAMED_CHANCE) ? undefined : this.#placeOf(key)) ?? this.#home;
      const shard = place?.shard ?? 0;
      const terms = termsFor(shard);
      const server = terms.anyNode === undefined ? this.#serverFor(shard) : this.#random.below(this.#servers.length);
      const leftMs = Math.min(PATIENCE_MS, untilMs - this.#world.nowMs);
      if (leftMs <= 0) break;
      const answer = await this.#ask(
        this.#servers[server]!,
        { ...terms, call: this.#next++, shard: place?.shard, epoch: place?.epoch },
        leftMs,
      );
      if (answer === LOST) {
        uncertain = true;
        this.#turnFrom(shard, server);
        continue;
      }
      const { error, written } = answer;
      if (error === undefined) {
        if (written?.applied === true && shard !== 0) this.#seen.set(shard, Math.max(this.#seen.get(shard) ?? 0, written.version));
        return { status: 'answered', answer };
      }
      this.#world.counters.add(`answer: ${error.kind}`);
      this.#world.counters.add(`refused: ${error.code}`);
      if (error.applied !== false) uncertain = true;
      if (error.kind === 'invalid' || error.kind === 'corrupt' || error.kind === 'internal') return { status: 'unknown' };
      this.#learn(place, server, error);
    }
    this.#world.counters.add(uncertain ? 'outcome unknown' : 'never done');
    return { status: uncertain ? 'unknown' : 'refused' };
  }

  #learn(place: ShardNote | undefined, server: number, { code, leader, shards }: NonNullable<AnswerFrame['error']>): void {
    const shard = place?.shard ?? 0;
    if (code === 'WRONG_SHARD') {
      let news = 0;
      for (const note of decodeShardNotes(shards)) {
        if ((this.#shards.get(note.shard)?.epoch ?? 0) >= note.epoch) continue;
        this.#shards.set(note.shard, note);
        news++;
      }
      if (news > 0) return;
    }
    // What it knew of the shard led nowhere.
    if (code === 'WRONG_SHARD' || code === 'NO_REPLICA') {
      this.#shards.delete(shard);
      this.#turnFrom(shard, server);
      // Of a call that names no shard nobody can tell whose leader it is.
    } else if (leader !== undefined && shard !== 0) this.#asked.set(shard, leader - 1);
    else if (code !== 'SHARD_SEALED') this.#turnFrom(shard, server);
  }

  /** The newest shard that is known to have the key. */
  #placeOf(key: string): ShardNote | undefined {
    let best: ShardNote | undefined;
    const bytes = Buffer.from(key);
    for (const note of this.#shards.values()) {
      if (
        note.table === (this.#home?.table ?? DEFAULT_TABLE) &&
        coversKey(note.keys, bytes) &&
        (best === undefined || note.epoch > best.epoch)
      )
        best = note;
    }
    return best;
  }

  #serverFor(shard: number): number {
    const known = this.#asked.get(shard);
    if (known !== undefined) return known;
    const drawn = this.#random.below(this.#servers.length);
    this.#asked.set(shard, drawn);
    return drawn;
  }

  #turnFrom(shard: number, server: number): void {
    if (this.#asked.get(shard) === server) this.#asked.set(shard, (server + 1) % this.#servers.length);
  }

  #ask(server: string, frame: RequestFrame, patienceMs: number): Promise<AnswerFrame | typeof LOST> {
    return new Promise((resolve) => {
      const link = this.#links.get(server) ?? this.#connect(server);
      const timer = this.#world.scheduler.after(patienceMs, () => settle(LOST));
      const settle = (answer: AnswerFrame | typeof LOST): void => {
        if (!link.waiting.delete(frame.call)) return;
        timer.cancel();
        // Half open, perhaps.
        if (answer === LOST && this.#links.get(server) === link) this.#leave(server, link);
        resolve(answer);
      };
      link.waiting.set(frame.call, settle);
      link.connection.send(encodeFrame(frame));
    });
  }

  #leave(server: string, link: Link): void {
    this.#links.delete(server);
    link.connection.close();
    for (const settle of [...link.waiting.values()]) settle(LOST);
  }

  #connect(server: string): Link {
    const waiting: Link['waiting'] = new Map();
    const connection = this.#endpoint.connect(server, {
      frame: (bytes) => {
        const answer = decodeAnswer(bytes);
        waiting.get(answer.call)?.(answer);
      },
      closed: () => {
        if (this.#links.get(server)?.connection === connection) this.#links.delete(server);
        for (const settle of [...waiting.values()]) settle(LOST);
      },
    });
    const link = { connection, waiting };
    this.#links.set(server, link);
    return link;
  }
}
