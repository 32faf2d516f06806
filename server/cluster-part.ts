/**
 * A node's part in the metaserver: the metaserver itself, where this node has a replica of its group, and this node's attendance at whichever leads.
 *
 *   metaserver   follows the replica of META_GROUP, which may come and go
 *   attendance   registers, reports, has orders carried out by the agent; over gRPC where clients call, or within the process when this node leads
 *   addresses    what the leader says of where nodes are goes to the ties, and so to the transport
 *
 * Made by server.ts when it is known where the node listens; closed before its replicas are.
 */
import { type ChannelCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { NodeClock, NodeRandom, NodeScheduler } from '../base/node/index.ts';
import { SparrowError } from '../base/errors.ts';
import { type MetaLeader, type OwnNode, QuotaKeeper } from './gateway/index.ts';
import { openLeaderLink } from './leader-link.ts';
import { Attendance, SELF, type Whom } from './meta/attendance.ts';
import type { LeaderStream, LeaderStreamListener, Registration } from './meta/attending.ts';
import type { MetaEvent } from './meta/lead.ts';
import { Metaserver } from './meta/metaserver.ts';
import { attendOwn } from './meta/own-stream.ts';
import { placesHere } from './meta/store.ts';
import { formatClusterId, type Replica } from './node/index.ts';
import { CORES, NodeLoadMeter } from './node-load.ts';
import type { NodeParts } from './node-parts.ts';
import type { ServerSettings } from './settings.ts';
import { META_GROUP } from './shard/descriptor.ts';
import type { MetaFigures } from './metrics/index.ts';
import { NodeAgent } from './shard/node-agent.ts';
import { ShardReports } from './shard-reports.ts';
import { callerCredentials } from './tls.ts';
import { SERVER_VERSION } from './version.ts';

const clock = new NodeClock();
const scheduler = new NodeScheduler();
const random = new NodeRandom();

export interface ClusterPartParts {
  readonly settings: ServerSettings;
  readonly node: NodeParts;
  readonly own: () => OwnNode;
  readonly logger: Logger;
}

export class ClusterPart {
  readonly #parts: ClusterPartParts;
  readonly #credentials: ChannelCredentials;
  readonly #agent: NodeAgent;
  readonly #meter: NodeLoadMeter;
  readonly #reports: ShardReports;
  /** Keeps calls to what the metaserver says of quotas. */
  readonly quotas: QuotaKeeper = new QuotaKeeper(clock, scheduler);
  readonly #incarnation: string;
  readonly #unlisten: () => void;
  #replica: Replica | undefined;
  #metaserver: Metaserver | undefined;
  #attendance: Attendance | undefined;
  /** Said last of why this node attends nobody. */
  #said = '';
  #closed = false;

  constructor(parts: ClusterPartParts) {
    const { settings, node } = parts;
    this.#parts = parts;
    this.#credentials = callerCredentials(settings);
    this.#agent = new NodeAgent({ replicas: node.replicas, scheduler, reachable: (id) => node.transport?.reachable(id) ?? false });
    this.#meter = new NodeLoadMeter(settings.data, node.log);
    this.#reports = new ShardReports(node.replicas, clock);
    this.#incarnation = `${random.u32().toString(16)}${random.u32().toString(16)}`;
    this.#unlisten = node.replicas.onChanged((group) => {
      if (group === META_GROUP) this.#follow();
    });
    this.#follow();
  }

  /** Undefined: this node has no replica of META_GROUP now. */
  get metaserver(): Metaserver | undefined {
    return this.#metaserver;
  }

  /** Who leads the metaserver, as far as this node knows. */
  get leader(): MetaLeader | undefined {
    const attending = this.#attendance?.attending;
    const { nodeId } = this.#parts.node.identity;
    if (attending === SELF) return { node: nodeId, address: this.#parts.own().address };
    const leader = this.#replica?.stats().leader ?? 0;
    const address = leader === 0 || leader === nodeId ? undefined : this.#parts.node.ties.addressOf(leader);
    if (address !== undefined) return { node: leader, address };
    return attending === undefined ? undefined : { node: 0, address: attending };
  }

  get figures(): MetaFigures {
    const { lead, leadsBegun = 0 } = this.#metaserver ?? {};
    return { lead, leadsBegun, attending: this.#attendance?.attending !== undefined };
  }

  /** From now on the node attends: its addresses are known. */
  begin(): void {
    if (this.#closed) return;
    const { ties } = this.#parts.node;
    this.#attendance = new Attendance({
      clock,
      scheduler,
      registration: () => this.#registration(),
      load: () => ({ ...this.#meter.take(), ...this.#reports.sum, snapshots: this.#snapshots() }),
      shards: () => this.#reports.take(),
      failed: () => this.#reports.failed(),
      execute: (given) => {
        this.#reports.ordered(given.order);
        return this.#agent.execute(given);
      },
      leader: () => this.#knownLeader(),
      known: () => this.#known(),
      connect: (whom, listener) => this.#connect(whom, listener),
      reaches: (node) => this.#reaches(node),
      demands: () => this.quotas.demands(),
      onShares: (shares) => this.quotas.told(shares),
      onNodes: (nodes, removed) => {
        ties.told(new Map(nodes.map((place) => [place.node, place])), removed);
      },
      onAttending: (leader, why) => this.#tellAttending(leader, why),
    });
  }

  close(): void {
    this.#closed = true;
    this.#unlisten();
    this.#attendance?.close();
    this.#metaserver?.close();
  }

  #follow(): void {
    const replica = this.#parts.node.replicas.get(META_GROUP);
    if (replica === this.#replica || this.#closed) return;
    this.#metaserver?.close();
    this.#replica = replica;
    // Until a leader says more: where nodes were is better than nothing, for one that has just been started. A replica that has just been made knows less than it.
    if (replica !== undefined && this.#attendance?.attending === undefined) this.#parts.node.ties.told(placesHere(replica.engine), []);
    const { identity } = this.#parts.node;
    this.#metaserver =
      replica &&
      new Metaserver({
        replica,
        clock,
        scheduler,
        clusterId: formatClusterId(identity.clusterId),
        voters: identity.voters,
        onEvent: (event) => this.#log(event),
      });
  }

  #registration(): Registration {
    const { settings, node, own } = this.#parts;
    // Where the cluster knows it, if it does: what it listens on may not be where others reach it.
    const { address, peerAddress } = node.replica.book.nodes.get(node.identity.nodeId) ?? own();
    const { zone, pool, role, labels } = settings;
    return {
      node: node.identity.nodeId,
      address,
      peerAddress,
      zone,
      pool,
      role,
      labels,
      clusterId: formatClusterId(node.identity.clusterId),
      version: SERVER_VERSION,
      incarnation: this.#incarnation,
      directoryId: node.identity.directoryId ?? '',
      diskBytes: this.#meter.diskBytes,
      cores: CORES,
    };
  }

  #snapshots(): number {
    return [...this.#parts.node.replicas].filter((replica) => replica.stats().receiving !== undefined).length;
  }

  #knownLeader(): Whom | undefined {
    const { leader = 0, role } = this.#replica?.stats() ?? {};
    if (role === 'leader') return SELF;
    return leader === 0 ? undefined : this.#parts.node.ties.addressOf(leader);
  }

  #known(): string[] {
    const { settings, node } = this.#parts;
    return [...new Set([...node.ties.knownAddresses, ...(settings.join === undefined ? [] : [settings.join])])];
  }

  #connect(whom: Whom, listener: LeaderStreamListener): LeaderStream {
    if (whom !== SELF) {
      const ended = (why: Error | undefined, leader: string | undefined): void => {
        this.#tellRefusal(whom, why);
        listener.ended(why, leader);
      };
      return openLeaderLink(whom, this.#credentials, { receive: (message) => listener.receive(message), ended });
    }
    return attendOwn(this.#metaserver, scheduler, listener);
  }

  async #reaches(node: number): Promise<boolean> {
    const { transport, ties } = this.#parts.node;
    if (transport === undefined) return false;
    if (transport.reachable(node)) return true;
    const peerAddress = ties.peerAddressOf(node);
    if (peerAddress === undefined) return false;
    return transport.probe(node, peerAddress).then(
      () => true,
      () => false,
    );
  }

  #tellAttending(leader: Whom | undefined, why: string): void {
    const { logger } = this.#parts;
    this.#said = '';
    if (leader === undefined) logger.info({ why }, 'the metaserver is not attended');
    else logger.info({ leader: leader === SELF ? 'this node' : leader, why }, 'attends the metaserver');
  }

  /** What looking for the leader meets anyway is not worth a word. */
  #tellRefusal(address: string, why: Error | undefined): void {
    if (!(why instanceof SparrowError) || why.kind !== 'invalid' || why.message === this.#said) return;
    this.#said = why.message;
    this.#parts.logger.warn({ address, code: why.code }, `the metaserver does not take this node: ${why.message}`);
    // One that was decommissioned while it was away is removed as any other; one whose directory was lost has to end.
    this.#parts.node.ties.refused(why);
  }

  #log(event: MetaEvent): void {
    const { logger } = this.#parts;
    switch (event.type) {
      case 'begun':
        return logger.info(event, 'this node leads the metaserver');
      case 'node':
        return logger.info({ node: event.node }, `metaserver: node ${event.node}: ${event.what}`);
      case 'operator': {
        const { id, kind, shard, reason, by, state, ending } = event.operator;
        const line = { operator: id, kind, shard, reason, by, state, ending };
        if (state === 'failed') logger.warn(line, 'metaserver: operator failed');
        else logger.info(line, `metaserver: operator ${state === 'running' ? 'begins' : state}`);
        return;
      }
      case 'over':
        return logger.info(event, 'this node leads the metaserver no more');
    }
  }
}
