/**
 * Connections between addresses, as a pair of nodes has them over TCP: frames of bytes, in order and whole for as long as the connection
 * lives. It may break at any time; what is in flight is then lost, and neither end knows how much of it.
 *
 *   partition, dead machine   frames are held back and sent again; after `stallMs` without an answer the sender's end is closed, the other
 *                             end does not notice until it sends something itself (half-open)
 *   dead process              the system answers for it: ends of its connections are closed soon
 *   `sever`                   both ends are closed, each when it learns of it
 *   `mute`                    half-open in one direction: what this end sends vanishes, and only `stallMs` tells it
 *
 * Every delivery goes into the trace. Bytes are handed over as they are: whoever sends them must not change them.
 */
import { assert } from '../../base/assert.ts';
import type { SimLinks } from './sim-links.ts';
import type { TraceHash } from './trace-hash.ts';

export type Closed = 'closed by the peer' | 'refused' | 'reset' | 'timed out';

export interface ConnectionEvents {
  /** The other side has accepted; not called at the accepting side. */
  opened?(): void;
  frame(bytes: Uint8Array): void;
  /** Once, when the end learns of it; never after its own `close`. */
  closed(why: Closed): void;
}

export interface SimConnection {
  readonly local: string;
  readonly peer: string;
  readonly open: boolean;
  /** Frames that have not arrived yet: what flow control would look at. */
  readonly inFlight: number;
  /** Waits for the opening where it must; into a connection that is closed it vanishes. */
  send(frame: Uint8Array): void;
  close(): void;
}

export interface SimEndpoint {
  readonly address: string;
  /** Takes connections, until the process ends. */
  listen(accept: (connection: SimConnection) => ConnectionEvents): void;
  connect(to: string, events: ConnectionEvents): SimConnection;
  close(): void;
}

/** `machine`: nothing answers for it any more; `process`: its system closes what it had. */
export type Death = 'machine' | 'process';

const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 400;

export interface SimNetworkSettings {
  /** How long a sender goes without an answer before it gives the connection up. */
  readonly stallMs: number;
}

export class SimNetwork {
  readonly links: SimLinks;
  readonly settings: SimNetworkSettings;
  readonly #trace: TraceHash;
  readonly #hosts = new Map<string, Host>();
  readonly counts: { connections: number; delivered: number; severed: number; resets: number; timeouts: number; retries: number } = {
    connections: 0,
    delivered: 0,
    severed: 0,
    resets: 0,
    timeouts: 0,
    retries: 0,
  };
  #ids = 0;

  constructor(links: SimLinks, trace: TraceHash, settings: Partial<SimNetworkSettings> = {}) {
    this.links = links;
    this.settings = { stallMs: 3000, ...settings };
    this.#trace = trace;
  }

  /** A process begins at an address; the one before it there has ended. */
  endpoint(address: string): SimEndpoint {
    const before = this.#hosts.get(address);
    assert(before?.state !== 'up', 'one process at an address');
    const host: Host = { address, state: 'up', accept: undefined, ends: new Set() };
    this.#hosts.set(address, host);
    return {
      address,
      listen: (accept) => {
        host.accept = accept;
      },
      connect: (to, events) => this.#connect(host, to, events),
      close: () => this.end(address, 'process'),
    };
  }

  /** The process at an address ends: it hears nothing any more. */
  end(address: string, death: Death): void {
    const host = this.#hosts.get(address);
    if (!host || host.state !== 'up') return;
    host.state = death === 'machine' ? 'dead' : 'down';
    for (const end of host.ends) {
      end.detach();
      if (death === 'process') end.tellPeer('reset');
    }
    host.ends.clear();
  }

  /** The machine at an address is there again: what is sent to its earlier life is answered with a reset. */
  revive(address: string): void {
    const host = this.#hosts.get(address);
    if (host?.state === 'dead') host.state = 'down';
  }

  /** Breaks all connections between two addresses. Returns how many. */
  sever(one: string, other: string): number {
    const ends = this.#between(one, other);
    for (const end of ends) {
      end.lose();
      const delayMs = this.links.delayMs(one, other, 0);
      this.links.scheduler.after(delayMs, () => end.fail('reset'));
    }
    this.counts.severed += ends.length / 2;
    return ends.length / 2;
  }

  /** What `from` sends over its connections to `to` vanishes from now on. Returns how many connections that is. */
  mute(from: string, to: string): number {
    const ends = this.#between(from, to).filter((end) => end.local === from);
    for (const end of ends) end.muted = true;
    return ends.length;
  }

  #between(one: string, other: string): End[] {
    return [one, other].flatMap((address) => {
      const peer = address === one ? other : one;
      return [...(this.#hosts.get(address)?.ends ?? [])].filter((end) => end.peer === peer);
    });
  }

  #connect(from: Host, to: string, events: ConnectionEvents): SimConnection {
    const id = ++this.#ids;
    this.counts.connections++;
    const parts: Parts = {
      network: this,
      trace: this.#trace,
      id,
      forget: (end) => {
        for (const host of [from, this.#hosts.get(to)]) host?.ends.delete(end);
      },
      isDead: (address) => this.#hosts.get(address)?.state === 'dead' || !this.#hosts.has(address),
    };
    const near = new End(parts, from.address, to, events);
    from.ends.add(near);
    // The first frame is the asking for it; the accepting end is there when that has arrived.
    near.push(undefined, () => {
      const host = this.#hosts.get(to);
      if (host?.state !== 'up' || !host.accept) return near.refused();
      const far = new End(parts, to, from.address, undefined);
      far.other = near;
      near.other = far;
      far.opened = true;
      host.ends.add(far);
      far.events = host.accept(far);
      far.push(undefined, () => near.acknowledged());
    });
    // The answer may be lost with the process that gave it, and what waits for the opening would never find out by sending.
    this.links.scheduler.after(this.settings.stallMs, () => {
      if (!near.opened) near.fail('timed out');
    });
    return near;
  }
}

interface Host {
  readonly address: string;
  state: 'up' | 'down' | 'dead';
  accept: ((connection: SimConnection) => ConnectionEvents) | undefined;
  readonly ends: Set<End>;
}

interface Parts {
  readonly network: SimNetwork;
  readonly trace: TraceHash;
  readonly id: number;
  forget(end: End): void;
  /** Nothing answers there, not even with a reset. */
  isDead(address: string): boolean;
}

interface Sent {
  readonly readyMs: number;
  arrived: boolean;
  arrive(): void;
}

/** One end of a connection, and the way from it to the other. */
class End implements SimConnection {
  readonly local: string;
  readonly peer: string;
  events: ConnectionEvents | undefined;
  other: End | undefined;
  opened = false;
  muted = false;
  open = true;
  /** The process that had it is gone: nobody is told anything. */
  #detached = false;
  readonly #parts: Parts;
  readonly #queue: Sent[] = [];
  /** Sent before the opening. */
  #early: Uint8Array[] = [];
  #lastReadyMs = 0;
  #underWay = false;
  #stalledSinceMs: number | undefined;
  #retryMs = RETRY_MS_MIN;

  constructor(parts: Parts, local: string, peer: string, events: ConnectionEvents | undefined) {
    this.#parts = parts;
    this.local = local;
    this.peer = peer;
    this.events = events;
  }

  get inFlight(): number {
    return this.#queue.length + this.#early.length;
  }

  send(frame: Uint8Array): void {
    if (!this.open) return;
    if (!this.opened) {
      this.#early.push(frame);
      return;
    }
    this.push(frame, () => {
      const { other } = this;
      if (!other?.open) return this.#answeredByNobody();
      this.#parts.network.counts.delivered++;
      this.#parts.trace.fold(`frame ${this.#parts.id} ${this.local}>${this.peer} ${this.#nowMs}`, frame);
      other.events!.frame(frame);
    });
  }

  close(): void {
    if (!this.open) return;
    this.push(undefined, () => this.other?.fail('closed by the peer'));
    this.open = false;
    this.#parts.forget(this);
  }

  /** Puts something on its way, behind what was sent before. */
  push(frame: Uint8Array | undefined, arrive: () => void): void {
    const bytes = frame?.length ?? 0;
    const readyMs = Math.max(this.#lastReadyMs, this.#nowMs + this.#parts.network.links.delayMs(this.local, this.peer, bytes));
    this.#lastReadyMs = readyMs;
    this.#queue.push({ readyMs, arrived: false, arrive });
    if (!this.#underWay) this.#next();
  }

  /** The other side has accepted. */
  acknowledged(): void {
    if (!this.open) return;
    this.opened = true;
    this.events!.opened?.();
    const early = this.#early;
    this.#early = [];
    for (const frame of early) this.send(frame);
  }

  refused(): void {
    this.#parts.network.links.scheduler.after(this.#parts.network.links.delayMs(this.peer, this.local, 0), () => this.fail('refused'));
  }

  /** This end learns that the connection is over. */
  fail(why: Closed): void {
    if (!this.open) return;
    this.open = false;
    this.lose();
    this.#parts.forget(this);
    const { counts } = this.#parts.network;
    if (why === 'reset') counts.resets++;
    if (why === 'timed out') counts.timeouts++;
    this.#parts.trace.fold(`closed ${this.#parts.id} ${this.local}-${this.peer} ${this.#nowMs} ${why}`);
    if (!this.#detached) this.events?.closed(why);
  }

  /** What is in flight from here is lost. */
  lose(): void {
    this.#queue.length = 0;
    this.#early = [];
  }

  /** The process is gone. */
  detach(): void {
    this.open = false;
    this.#detached = true;
    this.lose();
  }

  /** The system tells the other end, if that can be reached. */
  tellPeer(why: Closed): void {
    const { links } = this.#parts.network;
    links.scheduler.after(links.delayMs(this.local, this.peer, 0), () => {
      if (links.isOpen(this.local, this.peer)) this.other?.fail(why);
    });
  }

  get #nowMs(): number {
    return this.#parts.network.links.scheduler.nowMs;
  }

  #next(): void {
    const [sent] = this.#queue;
    this.#underWay = sent !== undefined;
    if (!sent) return;
    this.#parts.network.links.scheduler.at(sent.readyMs, () => this.#tryToDeliver(sent));
  }

  #tryToDeliver(sent: Sent): void {
    if (this.#queue[0] !== sent) return this.#next();
    const { network, isDead } = this.#parts;
    const { links } = network;
    if (!sent.arrived && !this.muted && links.isOpen(this.local, this.peer) && !isDead(this.peer)) {
      sent.arrived = true;
      sent.arrive();
    }
    // What has arrived is answered the other way: as long as no answer comes through, the sender takes it for lost.
    if (sent.arrived && (this.#queue[0] !== sent || links.isOpen(this.peer, this.local))) {
      if (this.#queue[0] === sent) this.#queue.shift();
      this.#stalledSinceMs = undefined;
      this.#retryMs = RETRY_MS_MIN;
      return this.#next();
    }
    this.#stalledSinceMs ??= this.#nowMs;
    if (this.#nowMs - this.#stalledSinceMs >= network.settings.stallMs) {
      this.#underWay = false;
      // An end that closed itself is waited for by nobody.
      if (this.open) this.fail('timed out');
      else this.lose();
      return;
    }
    network.counts.retries++;
    this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
    links.scheduler.after(this.#retryMs, () => this.#tryToDeliver(sent));
  }

  /** The machine is there, but it does not know this connection. */
  #answeredByNobody(): void {
    const { links } = this.#parts.network;
    links.scheduler.after(links.delayMs(this.peer, this.local, 0), () => this.fail('reset'));
  }
}
