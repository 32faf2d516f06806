/**
 * What clients meet of a node, on its listener (client-listener.ts): Kv out of its replicas, or passed on; Admin; Meta where it leads the metaserver; its figures.
 *
 * Stopping: the lead goes to another node, so that nobody waits for an election. Then no new calls; sessions and plain calls get their answers, but no longer
 * than `ANSWERS_MS` from the beginning; then the node's parts are closed, at once where they do not come to an end within `PARTS_MS`. `abort` stops at once, as
 * a crash would.
 *
 * Made by server.ts.
 */
import { performance } from 'node:perf_hooks';
import type { Logger } from 'pino';
import { NodeClock, NodeScheduler } from '../base/node/index.ts';
import { SparrowError } from '../base/errors.ts';
import { AdminService, MetaService, type SurveyRequest, type SurveyResponse } from '../proto/index.ts';
import { ClientListener, within } from './client-listener.ts';
import type { ClusterPart } from './cluster-part.ts';
import { adminService, type ClusterIdentity, KvCalls, KvFront, MetaCalls, metaService, NO_CLUSTER, type OwnNode } from './gateway/index.ts';
import { engineFamilies, type Family, mergedFamilies, metaFamilies, peerFamilies, quotaFamily, replicaFamilies } from './metrics/index.ts';
import { formatClusterId, handOver } from './node/index.ts';
import type { NodeParts } from './node-parts.ts';
import { SdkTables } from './proxy/index.ts';
import type { ServerSettings } from './settings.ts';
import { askForSurvey, SurveySource } from './survey-source.ts';
import { callerCredentials, callerPem } from './tls.ts';
import { SERVER_VERSION } from './version.ts';

/** From the order to stop: so long another node may take to lead, calls under way to be answered, and the parts to finish; all in less than five seconds. */
const HAND_OVER_MS = 1000;
const ANSWERS_MS = 3000;
const PARTS_MS = 4000;

export class GatewayServer {
  readonly #settings: ServerSettings;
  readonly #node: NodeParts;
  readonly #cluster: ClusterPart;
  readonly #logger: Logger;
  /** Serves clients that know no shards. */
  readonly #tables: SdkTables;
  readonly #listener: ClientListener;
  readonly #meta: MetaCalls;
  #closing: Promise<void> | undefined;

  constructor(settings: ServerSettings, node: NodeParts, cluster: ClusterPart, logger: Logger) {
    this.#settings = settings;
    this.#node = node;
    this.#cluster = cluster;
    this.#logger = logger;
    const calls = new KvCalls(node.replicas, settings, clusterOf(node));
    calls.quotas = cluster.quotas;
    this.#tables = new SdkTables(
      () => [...new Set([this.own.address, ...calls.cluster.members.map(({ address }) => address)])],
      callerPem(settings),
      settings,
    );
    this.#listener = new ClientListener({ settings, room: node.replicas.writes, passedOn: this.#tables.room, logger });
    const { counter, connections } = this.#listener;
    const front = new KvFront(calls, this.#tables);
    this.#listener.serveKv(front, (call, state) => front.scan(call, state));
    this.#listener.serve(
      AdminService,
      adminService(calls, counter, connections, SERVER_VERSION, () => this.own),
    );
    this.#meta = new MetaCalls({
      metaserver: () => cluster.metaserver,
      leader: () => cluster.leader,
      clusterId: formatClusterId(node.identity.clusterId),
      historySince: (ms) => this.#listener.historySince(ms),
    });
    this.#listener.serve(MetaService, metaService(this.#meta, counter));
  }

  get address(): string {
    return this.#listener.address;
  }

  get metricsAddress(): string | undefined {
    return this.#listener.metricsAddress;
  }

  /** Where this node says that it is: for clients, and for other nodes. */
  get own(): OwnNode {
    const { transport, identity } = this.#node;
    const listed = this.#settings.cluster?.[identity.nodeId];
    return { address: listed?.address ?? this.address, peerAddress: listed?.peerAddress ?? transport?.address ?? '', links: transport };
  }

  /** From now on calls are answered, or told where to go. Throws `unavailable/LISTEN`. */
  async listen(): Promise<void> {
    try {
      await this.#listener.listen(
        () => this.#surveySource(),
        () => this.#families(),
      );
    } catch (error) {
      this.#cluster.close();
      this.#release();
      throw error;
    }
  }

  /** Calls are not answered any more, though nobody asked it to stop. */
  failed(): void {
    this.#listener.notServing();
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  abort(): void {
    this.#cluster.close();
    this.#release();
    this.#node.abort();
    // Within this process the directory is free again when `close` settles; a process that ends need not wait for it.
    this.#closing ??= this.#node.close();
  }

  async #close(): Promise<void> {
    const beganMs = performance.now();
    const leftMs = (ms: number): number => Math.max(0, beganMs + ms - performance.now());
    this.#logger.info({ callsInFlight: this.#listener.counter.callsInFlight }, 'stopping');
    this.#listener.notServing();
    await this.#handOver();
    this.#cluster.close();
    this.#listener.drain();
    await within(this.#listener.answered(), leftMs(ANSWERS_MS));
    this.#release();
    const closed = this.#node.close();
    if (!(await within(closed, leftMs(PARTS_MS)))) {
      this.#logger.warn('writes under way cannot be finished; they are given up');
      this.#node.abort();
    }
    await closed;
    this.#logger.info('stopped');
  }

  async #handOver(): Promise<void> {
    const { replicas, transport } = this.#node;
    if (transport === undefined) return;
    const parts = { clock: new NodeClock(), scheduler: new NodeScheduler(), reachable: (node: number) => transport.reachable(node) };
    const leads = [...replicas].filter((replica) => replica.stats().role === 'leader');
    const leaders = await Promise.all(leads.map((replica) => handOver(replica, parts, HAND_OVER_MS)));
    const handedOver = leaders.filter((leader) => leader !== undefined).length;
    if (leads.length > 0) this.#logger.info({ leads: leads.length, handedOver }, 'other nodes lead');
  }

  #release(): void {
    this.#listener.close();
    this.#tables.close();
  }

  #surveySource(): SurveySource {
    const own = (request: SurveyRequest): Promise<SurveyResponse> =>
      this.#meta.survey(request).catch((error: unknown) => Promise.reject(this.#meta.routed(error)));
    return new SurveySource({
      node: this.#node.identity.nodeId,
      release: SERVER_VERSION,
      own,
      leads: () => this.#cluster.metaserver?.lead !== undefined,
      ask: askForSurvey(callerCredentials(this.#settings)),
    });
  }

  #families(): Family[] {
    const { replica, replicas, transport } = this.#node;
    return [
      ...this.#listener.families(replica.stopped === undefined),
      quotaFamily(this.#cluster.quotas.figures),
      ...replicaFamilies([...replicas].map((each) => ({ shard: each.group, stats: each.stats() }))),
      ...(transport === undefined ? [] : peerFamilies(transport.stats())),
      ...metaFamilies(this.#cluster.figures),
      ...this.#engineFamilies(),
    ];
  }

  /** Of all engines together, without those whose place a snapshot takes. */
  #engineFamilies(): Family[] {
    const each = [...this.#node.replicas].map((replica) => {
      try {
        return engineFamilies(replica.engine.metrics());
      } catch (error) {
        if (error instanceof SparrowError && (error.kind === 'closed' || error.kind === 'corrupt')) return [];
        throw error;
      }
    });
    return mergedFamilies(each);
  }
}

/** What clients are told. Of a node that is alone, and that no other can join, there is nothing to tell. */
function clusterOf({ identity, ties, transport }: NodeParts): ClusterIdentity {
  if (transport === undefined) return NO_CLUSTER;
  return {
    clusterId: formatClusterId(identity.clusterId),
    members: ties.addresses,
    placeOf: (node) => ties.placeOf(node),
    largestId: () => ties.largestId,
    registered: () => ties.registered,
  };
}
