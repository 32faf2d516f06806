/**
 * A client in the simulation: one connection to one server at a time, the next one when that breaks or refuses; calls are tried again, writes
 * under the id of their first attempt, until their time is over. Reads that any node may serve have a connection of their own, to any of them. Numbers its writes with the SDK's own counter (client/request-ids.ts).
 */
import { RequestIds } from '../../client/request-ids.ts';
import type { Changes, Condition, Found, KvClient, Outcome, WriteAnswer } from './kv-client.ts';
import { type AnswerFrame, decodeAnswer, encodeFrame, type RequestFrame } from './kv-frames.ts';
import type { SimConnection, SimEndpoint } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import type { World } from './world.ts';

interface Call {
  readonly frame: RequestFrame;
  readonly settle: (outcome: Outcome<AnswerFrame>) => void;
  /** An attempt may have taken effect though its answer is lost. */
  uncertain: boolean;
  /** It is going to be sent again. */
  waits: boolean;
}

const RETRY_MS = 50;
/** An answer that takes longer is asked for again, over another connection. */
const PATIENCE_MS = 1500;

export class SimClient implements KvClient {
  readonly name: string;
  readonly #world: World;
  readonly #servers: readonly string[];
  readonly #timeoutMs: number;
  readonly #random: SimRandom;
  readonly #endpoint: SimEndpoint;
  readonly #ids: RequestIds;
  readonly #calls = new Map<number, Call>();
  #connection: SimConnection | undefined;
  #server = 0;
  /** For reads that any node may serve. */
  #side: SimConnection | undefined;
  #next = 1;

  constructor(world: World, name: string, servers: readonly string[], timeoutMs: number) {
    this.#world = world;
    this.name = name;
    this.#servers = servers;
    this.#timeoutMs = timeoutMs;
    this.#random = world.random.fork();
    this.#endpoint = world.network.endpoint(name);
    this.#ids = new RequestIds(Buffer.from(name));
  }

  async read(keys: readonly string[], anyNode?: { readonly staleMs: number }): Promise<Outcome<readonly Found[]>> {
    const outcome = await this.#call({ call: this.#next++, read: keys, anyNode });
    return outcome.status === 'answered' ? { status: 'answered', answer: outcome.answer.found! } : outcome;
  }

  async write(changes: Changes, conditions: readonly Condition[] = []): Promise<Outcome<WriteAnswer>> {
    const { sequence, seen } = this.#ids.begin();
    const outcome = await this.#call({ call: this.#next++, write: { client: this.name, sequence, seen, changes, conditions } });
    this.#ids.end(sequence);
    if (outcome.status !== 'answered') return outcome;
    const written = outcome.answer.written!;
    if (written.applied) this.#ids.observe(written.version);
    return { status: 'answered', answer: written };
  }

  #call(frame: RequestFrame): Promise<Outcome<AnswerFrame>> {
    return new Promise((resolve) => {
      const settle = (outcome: Outcome<AnswerFrame>): void => {
        if (!this.#calls.delete(frame.call)) return;
        timeout.cancel();
        resolve(outcome);
      };
      const call: Call = { frame, settle, uncertain: false, waits: false };
      const timeout = this.#world.scheduler.after(this.#timeoutMs, () => {
        this.#world.counters.add(call.uncertain ? 'outcome unknown' : 'never sent');
        settle({ status: call.uncertain ? 'unknown' : 'refused' });
      });
      this.#calls.set(frame.call, call);
      this.#send(call);
    });
  }

  #send(call: Call): void {
    if (!this.#calls.has(call.frame.call)) return;
    if (call.uncertain) this.#world.counters.add('sent again');
    call.uncertain = true;
    const side = call.frame.anyNode !== undefined;
    const connection = side ? (this.#side ??= this.#connectSide()) : (this.#connection ??= this.#connect());
    connection.send(encodeFrame(call.frame));
    this.#world.scheduler.after(PATIENCE_MS, () => {
      if (!this.#calls.has(call.frame.call) || (side ? this.#side : this.#connection) !== connection) return;
      if (side) return this.#leaveSide();
      this.#connection = undefined;
      connection.close();
      this.#sendAllAgain();
    });
  }

  #connectSide(): SimConnection {
    const connection = this.#endpoint.connect(this.#random.pick(this.#servers), {
      frame: (bytes) => this.#answered(decodeAnswer(bytes)),
      closed: () => {
        if (this.#side === connection) this.#leaveSide();
      },
    });
    return connection;
  }

  /** Any other node, or the same one, is asked. */
  #leaveSide(): void {
    const side = this.#side;
    this.#side = undefined;
    side?.close();
    for (const call of this.#calls.values()) if (call.frame.anyNode !== undefined) this.#sendLater(call);
  }

  #connect(): SimConnection {
    const server = this.#servers[this.#server++ % this.#servers.length]!;
    const connection = this.#endpoint.connect(server, {
      frame: (bytes) => this.#answered(decodeAnswer(bytes)),
      closed: () => {
        if (this.#connection !== connection) return;
        this.#connection = undefined;
        this.#sendAllAgain();
      },
    });
    return connection;
  }

  /** Another server is to be asked; where it is the same one, nothing changes. */
  #turnTo(server: number): void {
    const next = server % this.#servers.length;
    const before = this.#connection;
    if (before === undefined || before.peer === this.#servers[next]) return;
    this.#server = next;
    this.#connection = undefined;
    before.close();
    this.#sendAllAgain();
  }

  #sendAllAgain(): void {
    for (const call of this.#calls.values()) if (call.frame.anyNode === undefined) this.#sendLater(call);
  }

  #sendLater(call: Call): void {
    if (call.waits) return;
    call.waits = true;
    this.#world.scheduler.after(RETRY_MS * (0.5 + this.#random.fraction()), () => {
      call.waits = false;
      this.#send(call);
    });
  }

  #answered(answer: AnswerFrame): void {
    const call = this.#calls.get(answer.call);
    if (!call) return;
    const { error } = answer;
    if (!error) return call.settle({ status: 'answered', answer });
    this.#world.counters.add(`answer: ${error.kind}`);
    if (call.frame.anyNode !== undefined) this.#leaveSide();
    else if (error.leader !== undefined) this.#turnTo(error.leader - 1);
    else if (error.kind === 'unavailable') this.#turnTo(this.#server);
    // A read that met damage, a write that came too late to be told apart: nothing is known, and trying again would not help.
    if (error.kind === 'invalid' || error.kind === 'corrupt' || error.kind === 'internal') return call.settle({ status: 'unknown' });
    this.#sendLater(call);
  }
}
