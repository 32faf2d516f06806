/**
 * Looks, once a second, how a node stands in its cluster. One that leads notes who has data by now (noteBegun). One that hears of no leader asks the nodes that
 * it knows of, one after another, who is a member and where:
 *
 *   it waits to be taken in          members may come and go meanwhile: whoever leads by then has to be a peer
 *   it was away for long             the members that it knew may be elsewhere, or others
 *   it was removed                   nobody sends it anything any more. This is how it gets to know, if nobody refused it before (transport)
 *
 * Made by cluster-ties.ts.
 */
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Scheduler, Timer } from '../base/env.ts';
import { type ClusterFacts, askCluster } from './join.ts';
import { type AddressFeed, noteBegun, type Replica } from './node/index.ts';

const LOOK_MS = 1000;
/** Elections are over sooner, most often. */
const LEADERLESS_LOOKS = 4;

export interface ClusterWatchParts {
  readonly node: number;
  readonly clusterId: bigint;
  /** Of shard 1, as it is when asked. */
  readonly replica: () => Replica;
  readonly feed: AddressFeed;
  /** A node to be asked, whoever else is known: of the settings. */
  readonly join: string | undefined;
  /** To ask nodes where clients do. */
  readonly credentials: ChannelCredentials;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** Another node says that this one was removed. */
  readonly onRemoved: () => void;
}

export class ClusterWatch {
  readonly #parts: ClusterWatchParts;
  #timer: Timer | undefined;
  #looks = 0;
  #asked = 0;
  #closed = false;

  constructor(parts: ClusterWatchParts) {
    this.#parts = parts;
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = this.#parts.scheduler.after(LOOK_MS, () => void this.#look().finally(() => this.#schedule()), true);
  }

  async #look(): Promise<void> {
    const { node } = this.#parts;
    const replica = this.#parts.replica();
    if (replica.stopped !== undefined) return this.close();
    const waits = !replica.members.includes(node);
    if (replica.stats().leader !== 0 && !waits) this.#looks = 0;
    else this.#looks++;
    if (this.#looks > (waits ? 0 : LEADERLESS_LOOKS)) return this.#ask();
    // Who leads next notes it, if this one cannot any more.
    await noteBegun(replica).catch((error: unknown) => this.#parts.logger.debug({ err: error }, 'who has data is not noted yet'));
  }

  async #ask(): Promise<void> {
    const { node, feed, join, credentials, logger } = this.#parts;
    const known = [...feed.nodes].filter(([id, { address }]) => id !== node && address !== '').map(([, { address }]) => address);
    const addresses = [...new Set(join === undefined ? known : [join, ...known])];
    const address = addresses[this.#asked++ % Math.max(1, addresses.length)];
    if (address === undefined) return;
    try {
      this.#learn(await askCluster(address, credentials));
    } catch (error) {
      logger.debug({ address, err: error }, 'a node does not tell who the members are');
    }
  }

  #learn({ clusterId, nodes, removed }: ClusterFacts): void {
    const parts = this.#parts;
    if (this.#closed || clusterId !== parts.clusterId) return;
    if (removed.has(parts.node)) return parts.onRemoved();
    parts.feed.learn(nodes);
  }
}
