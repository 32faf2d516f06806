/**
 * A cluster that follows a script under virtual time: nodes that are killed, stopped, and change leaders, and connections to them. Writes are applied
 * by the node that leads, once for each request id; everything that a node is sent, and everything applied, is written down.
 *
 * A node answers after LATENCY_MS each way. One that is stopped (as by SIGSTOP) takes whatever it is sent and answers when it goes on. A leader
 * that was deposed without knowing it holds writes until it learns of it, and refuses them then.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import type { AnyCall } from '../../client/call.ts';
import type { Connection, ConnectionEvents, SideStream, Standing } from '../../client/connection.ts';
import type { Stubs } from '../../client/methods.ts';
import type { RequestId } from '../../client/request-ids.ts';
import type { Surroundings } from '../../client/surroundings.ts';
import type { Leadership, SessionGreeting } from '../../proto/index.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

export const LATENCY_MS = 1;
/** There and back. */
export const TRIP_MS: number = 2 * LATENCY_MS;

export class ScriptedCluster {
  readonly scheduler: SimScheduler = new SimScheduler();
  readonly random: SimRandom;
  readonly nodes: ScriptedNode[];
  clusterId = 'c0ffee0000000001';
  /** Whether greetings name the members' addresses. */
  tellsMembers = true;
  leaderId = 0;
  term = 0;
  version = 0;
  /** Values by key, in the order in which they were applied. */
  readonly applied: Map<string, string[]> = new Map();
  readonly #answers: Map<string, number> = new Map();

  constructor(count: number, seed = 1) {
    this.random = new SimRandom(seed);
    this.nodes = Array.from({ length: count }, (_, i) => new ScriptedNode(this, i + 1));
  }

  get addresses(): string[] {
    return this.nodes.map(({ address }) => address);
  }

  surroundings(): Surroundings {
    return {
      clock: { monotonicMs: () => this.scheduler.nowMs },
      scheduler: this.scheduler,
      random: this.random,
      openConnection: (address, events) => {
        const node = this.nodes.find((one) => one.address === address);
        assert(node !== undefined, 'a client opens connections to nodes that exist');
        return new ScriptedConnection(node, events, this);
      },
    };
  }

  node(id: number): ScriptedNode {
    return this.nodes[id - 1];
  }

  /** From now on this node leads; those that are up learn of it `afterMs` later. */
  elect(id: number, afterMs = 0): void {
    this.leaderId = id;
    const term = ++this.term;
    this.node(id).learn({ leaderId: id, term });
    for (const node of this.nodes) {
      if (node.id !== id) this.scheduler.after(afterMs, () => node.state === 'up' && node.learn({ leaderId: id, term }));
    }
  }

  /** The group has lost its leader; nodes that are up notice. */
  depose(): void {
    this.leaderId = 0;
    const term = ++this.term;
    for (const node of this.nodes) if (node.state === 'up') node.learn({ leaderId: 0, term });
  }

  /** Answers the call, or throws why not; undefined: it is for the one group that all nodes are members of. */
  answerOf(_node: ScriptedNode, _call: AnyCall): (() => unknown) | undefined {
    return undefined;
  }

  /** Who leads a shard, as this node knows. */
  leadershipOf(node: ScriptedNode, _shard: number): Leadership {
    return node.view;
  }

  stubsOf(_connection: ScriptedConnection): Stubs {
    throw new Error('a scripted cluster has no stubs');
  }

  /** Once for each request id. */
  apply(call: AnyCall): unknown {
    if (!call.method.writes) return { found: false, value: Buffer.alloc(0), version: this.version };
    const { key, value, requestId } = call.request as { key: Uint8Array; value: Uint8Array; requestId: RequestId };
    const id = `${Buffer.from(requestId.client).toString('hex')}/${requestId.sequence}`;
    let version = this.#answers.get(id);
    if (version === undefined) {
      this.#answers.set(id, (version = ++this.version));
      const name = Buffer.from(key).toString();
      const values = this.applied.get(name) ?? [];
      values.push(Buffer.from(value).toString());
      this.applied.set(name, values);
    }
    return { version };
  }
}

export class ScriptedNode {
  readonly id: number;
  readonly address: string;
  /** `down`: connections are refused. `stopped`: as by SIGSTOP. */
  state: 'up' | 'down' | 'stopped' = 'up';
  view: Leadership = { leaderId: 0, term: 0 };
  /** Refuses whatever it is asked with this. */
  refusal: SparrowError | undefined;
  clusterId: string | undefined;
  /** When calls came, by virtual time. */
  readonly calls: number[] = [];
  readonly pings: number[] = [];
  readonly opened: number[] = [];
  readonly connections: Set<ScriptedConnection> = new Set();
  readonly #cluster: ScriptedCluster;
  #held: (() => void)[] = [];
  #stopped: (() => void)[] = [];

  constructor(cluster: ScriptedCluster, id: number) {
    this.#cluster = cluster;
    this.id = id;
    this.address = `node${id}:7400`;
  }

  standing(): Standing {
    const members = this.#cluster.tellsMembers ? this.#cluster.nodes.map(({ id, address }) => ({ id, address })) : [];
    return { nodeId: this.id, clusterId: this.clusterId ?? this.#cluster.clusterId, members, ...this.view };
  }

  learn(view: Leadership): void {
    if (view.term < this.view.term) return;
    this.view = view;
    if (view.leaderId === this.id) return;
    const held = this.#held;
    this.#held = [];
    for (const look of held) look();
  }

  kill(): void {
    this.state = 'down';
    this.#held = [];
    this.#stopped = [];
    for (const connection of this.connections) connection.break('connection reset');
  }

  /** It knows no leader until somebody tells it. */
  start(): void {
    this.state = 'up';
    this.view = { leaderId: 0, term: this.#cluster.term };
    const { leaderId, term } = this.#cluster;
    if (leaderId !== 0 && leaderId !== this.id)
      this.#cluster.scheduler.after(50, () => this.state === 'up' && this.learn({ leaderId, term }));
  }

  stop(): void {
    this.state = 'stopped';
  }

  resume(): void {
    this.state = 'up';
    const stopped = this.#stopped;
    this.#stopped = [];
    for (const task of stopped) task();
    const { leaderId, term } = this.#cluster;
    this.#cluster.scheduler.after(50, () => this.state === 'up' && this.learn({ leaderId, term }));
  }

  /** Runs the task when the node is running. */
  whenRunning(task: () => void): void {
    if (this.state === 'up') task();
    else if (this.state === 'stopped') this.#stopped.push(task);
  }

  serve(call: AnyCall, answer: (answer: unknown) => void, refuse: (error: SparrowError) => void): void {
    const other = this.#cluster.answerOf(this, call);
    if (other !== undefined) {
      try {
        answer(other());
      } catch (error) {
        refuse(error as SparrowError);
      }
      return;
    }
    this.calls.push(this.#cluster.scheduler.nowMs);
    const look = (held: boolean): void => {
      if (this.refusal !== undefined) return refuse(this.refusal);
      const { leaderId, term } = this.view;
      if (leaderId !== this.id) {
        if ((call.request as { anyNode?: unknown }).anyNode !== undefined && leaderId !== 0) return answer(this.#cluster.apply(call));
        if (held) return refuse(new SparrowError('unavailable', 'LEADERSHIP_LOST', 'another leads', { applied: false }));
        if (leaderId === 0) return refuse(new SparrowError('unavailable', 'NO_LEADER', 'no leader', { applied: false }));
        const { address } = this.#cluster.node(leaderId);
        return refuse(
          new SparrowError('rerouted', 'NOT_LEADER', 'not me', { applied: false, leader: leaderId, term, leaderAddress: address }),
        );
      }
      if (this.#cluster.leaderId !== this.id) this.#held.push(() => look(true));
      else answer(this.#cluster.apply(call));
    };
    look(false);
  }
}

export class ScriptedConnection implements Connection {
  readonly address: string;
  readonly greeting: SessionGreeting | undefined = undefined;
  heard = 0;
  /** Called when it closes. */
  readonly onClose: Set<() => void> = new Set();
  readonly node: ScriptedNode;
  readonly #cluster: ScriptedCluster;
  readonly #streams: Set<SideStream> = new Set();
  readonly #events: ConnectionEvents;
  readonly #scheduler: SimScheduler;
  readonly #calls: Set<AnyCall> = new Set();
  readonly #questions: Set<(error: SparrowError) => void> = new Set();
  #over = false;

  constructor(node: ScriptedNode, events: ConnectionEvents, cluster: ScriptedCluster) {
    this.node = node;
    this.#cluster = cluster;
    this.address = node.address;
    this.#events = events;
    this.#scheduler = cluster.scheduler;
  }

  get stubs(): Stubs {
    return this.#cluster.stubsOf(this);
  }

  get over(): boolean {
    return this.#over;
  }

  get awaited(): number {
    let awaited = this.#calls.size;
    for (const stream of this.#streams) if (stream.waits) awaited++;
    return awaited;
  }

  open(timeoutMs: number): Promise<Standing> {
    this.node.opened.push(this.#scheduler.nowMs);
    this.node.connections.add(this);
    const silent = new SparrowError('unavailable', 'UNREACHABLE', `${this.address} did not answer`);
    const timer = this.#scheduler.after(timeoutMs, () => this.close(silent));
    return this.#ask(() => this.node.standing()).finally(() => timer.cancel());
  }

  ping(shard: number): Promise<Leadership> {
    return this.#ask(() => {
      this.node.pings.push(this.#scheduler.nowMs);
      return shard === 0 ? this.node.view : this.#cluster.leadershipOf(this.node, shard);
    });
  }

  send(call: AnyCall): void {
    this.#calls.add(call);
    call.state = 'sent';
    call.wasSent = true;
    call.holder = this;
    const back = (settle: () => void): void => this.#later(() => this.#calls.delete(call) && this.#settle(call, settle));
    // What is on its way arrives, whatever becomes of the connection.
    this.#scheduler.after(LATENCY_MS, () =>
      this.node.whenRunning(() =>
        this.node.serve(
          call,
          (answer) => back(() => this.#events.answered(call, answer)),
          (error) => back(() => this.#events.refused(call, error)),
        ),
      ),
    );
  }

  drop(call: AnyCall): void {
    this.#calls.delete(call);
    call.holder = undefined;
  }

  addStream(stream: SideStream): () => void {
    this.#streams.add(stream);
    return () => this.#streams.delete(stream);
  }

  abandon(error: SparrowError): void {
    for (const stream of this.#streams) stream.broken(error);
    this.close(error);
  }

  release(meant: (what: AnyCall | SideStream) => boolean, error: SparrowError): void {
    for (const stream of this.#streams) if (meant(stream)) stream.broken(error);
    for (const call of [...this.#calls]) {
      if (!meant(call)) continue;
      this.drop(call);
      this.#events.lost(call, error);
    }
  }

  break(why: string): void {
    this.#later(() => this.close(new SparrowError('unavailable', 'CONNECTION_LOST', why)));
  }

  close(error: SparrowError): void {
    if (this.#over) return;
    this.#over = true;
    this.node.connections.delete(this);
    for (const call of this.#calls) {
      call.holder = undefined;
      this.#events.lost(call, error);
    }
    this.#calls.clear();
    for (const reject of this.#questions) reject(error);
    for (const task of this.onClose) task();
    this.#events.ended(this, error);
  }

  #settle(call: AnyCall, settle: () => void): void {
    this.heard++;
    call.holder = undefined;
    settle();
  }

  #ask<T>(answer: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#questions.add(reject);
      this.#later(() => {
        if (this.node.state === 'down') return this.close(new SparrowError('unavailable', 'CONNECTION_LOST', 'connection refused'));
        this.node.whenRunning(() => {
          const said = answer();
          this.#later(() => {
            this.heard++;
            this.#questions.delete(reject);
            resolve(said);
          });
        });
      });
    });
  }

  /** An answer that arrives after the connection ended is nobody's. */
  #later(task: () => void): void {
    this.#scheduler.after(LATENCY_MS, () => {
      if (!this.#over) task();
    });
  }
}
