/**
 * A network of its own for a cluster: each node in a network namespace, all on one bridge with this process.
 *
 *   this process, .254 ── bridge ─┬─ veth ── node 1, .1
 *                                 ├─ veth ── node 2, .2
 *                                 └─ ...
 *
 * `cut` makes one way between two of them lose everything without a word: the sender's neighbour entry for the other one gets a link address that nobody has.
 * Connections do not break by it, and what was sent is sent again by TCP after `heal`. Needs root and iproute2, no firewall.
 */
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import type { Host } from './test-cluster.ts';

/** For tests of networks (RFC 2544): nobody has addresses of it. */
const RANGE = '198.18';
const NOBODY = '02:00:00:00:00:01';
const OWN = 254;
/** This process, and so all clients, among the ends of a way. Nodes have their ids. */
export const CLIENTS = 0;

export class Network {
  readonly #name: string;
  readonly #subnet: string;
  readonly #count: number;
  readonly #cuts = new Map<string, readonly [from: number, to: number]>();
  readonly #onExit = (): void => this.remove();

  /** Throws with the reason when this machine cannot. */
  static create(nodes: number): Network {
    if (process.getuid?.() !== 0) throw new Error('network namespaces take root');
    const network = new Network(nodes);
    try {
      network.#build();
    } catch (error) {
      network.remove();
      throw error;
    }
    return network;
  }

  private constructor(nodes: number) {
    this.#name = `skv${process.pid}`;
    this.#subnet = `${RANGE}.${randomInt(1, 255)}`;
    this.#count = nodes;
  }

  get hosts(): Host[] {
    return this.#ids().map((id) => ({ address: this.#address(id), under: ['ip', 'netns', 'exec', this.#namespace(id)] }));
  }

  /** What `from` sends to `to` is lost from now on. */
  cut(from: number, to: number): void {
    ip(...this.#at(from), 'neigh', 'replace', this.#address(to), 'lladdr', NOBODY, 'dev', this.#device(from), 'nud', 'permanent');
    this.#cuts.set(`${from} ${to}`, [from, to]);
  }

  /** Both ways between each of the one and each of the other side. */
  part(some: readonly number[], others: readonly number[]): void {
    for (const a of some)
      for (const b of others)
        for (const [from, to] of [
          [a, b],
          [b, a],
        ] as const)
          this.cut(from, to);
  }

  heal(): void {
    for (const [from, to] of this.#cuts.values()) ip(...this.#at(from), 'neigh', 'del', this.#address(to), 'dev', this.#device(from));
    this.#cuts.clear();
  }

  /** Nobody is in it any more. Idempotent. */
  remove(): void {
    process.off('exit', this.#onExit);
    for (const id of this.#ids()) spawnSync('ip', ['netns', 'del', this.#namespace(id)]);
    spawnSync('ip', ['link', 'del', this.#name]);
  }

  #build(): void {
    process.once('exit', this.#onExit);
    ip('link', 'add', this.#name, 'type', 'bridge');
    ip('addr', 'add', `${this.#address(CLIENTS)}/24`, 'dev', this.#name);
    ip('link', 'set', this.#name, 'up');
    for (const id of this.#ids()) {
      const outside = `${this.#name}v${id}`;
      ip('netns', 'add', this.#namespace(id));
      ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.#namespace(id));
      ip('link', 'set', outside, 'master', this.#name, 'up');
      ip(...this.#at(id), 'addr', 'add', `${this.#address(id)}/24`, 'dev', 'eth0');
      ip(...this.#at(id), 'link', 'set', 'eth0', 'up');
      ip(...this.#at(id), 'link', 'set', 'lo', 'up');
    }
  }

  #ids(): number[] {
    return Array.from({ length: this.#count }, (_, i) => i + 1);
  }

  #namespace(id: number): string {
    return `${this.#name}n${id}`;
  }

  #address(id: number): string {
    return `${this.#subnet}.${id === CLIENTS ? OWN : id}`;
  }

  #at(id: number): string[] {
    return id === CLIENTS ? [] : ['-n', this.#namespace(id)];
  }

  #device(id: number): string {
    return id === CLIENTS ? this.#name : 'eth0';
  }
}

function ip(...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' });
  if (error || status !== 0) throw new Error(`ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}
