/**
 * The composition root: a node (node-parts.ts), what clients meet of it (gateway-server.ts), and a log of what happens to it. Or a proxy (proxy-server.ts),
 * which is neither.
 */
import { type Logger, pino, destination } from 'pino';
import { assert } from '../base/assert.ts';
import type { SparrowError } from '../base/errors.ts';
import { parseListen } from './address.ts';
import { refuseOlderLayout } from './data-directory.ts';
import { assertFree } from './free-address.ts';
import { ClusterPart } from './cluster-part.ts';
import { GatewayServer } from './gateway-server.ts';
import type { Replica } from './node/index.ts';
import { NodeParts } from './node-parts.ts';
import { ProxyServer } from './proxy-server.ts';
import { resolveSettings, type ServerSettings, type ServerSettingsInput } from './settings.ts';
import { SERVER_VERSION } from './version.ts';

export interface RunningServer extends AsyncDisposable {
  /** HOST:PORT, with the port that was really taken. */
  readonly address: string;
  /** HOST:PORT of GET /metrics; undefined without the setting `metricsAddress`. */
  readonly metricsAddress: string | undefined;
  /** HOST:PORT where other nodes are listened to; undefined where they are not. */
  readonly peerAddress: string | undefined;
  readonly settings: ServerSettings;
  /** What was found in the data directory. */
  readonly found: { readonly data: boolean; readonly replayedEntries: number };
  /** Settles with the reason if the server can serve no longer: its disk failed, or a bug. It is still to be closed then. */
  readonly failed: Promise<SparrowError>;
  /** Stops in good order, within five seconds; a node that leads hands the lead over before. Idempotent. */
  close(): Promise<void>;
  /** Stops at once: answers are cut off; what was acknowledged is on the disk. After it, `close` only waits for the files to be closed. */
  abort(): void;
}

/**
 * Starts a server. Settles when it can be called; a node of a cluster does not wait for the others. Throws what the settings, the directory
 * (`unavailable/LOCKED`, `invalid/OTHER_NODE`, `invalid/OTHER_CLUSTER`), the files (`corrupt/...`) or the addresses (`unavailable/LISTEN`) have against it.
 */
export async function startServer(input: ServerSettingsInput | ServerSettings): Promise<RunningServer> {
  const settings = resolveSettings(input as ServerSettingsInput);
  const logger = pino({ level: settings.logLevel, base: null }, destination({ dest: 2, sync: true }));
  logger.info({ settings, version: SERVER_VERSION }, 'starting');
  let fail: (error: SparrowError) => void = () => undefined;
  const failed = new Promise<SparrowError>((resolve) => (fail = resolve));

  for (const address of [settings.listen, settings.peerListen, settings.metricsAddress])
    if (address !== undefined) await assertFree(parseListen(address), address);
  if (settings.role === 'proxy') return startProxy(settings, logger, failed);
  refuseOlderLayout(settings.data);
  const node = await NodeParts.open(settings, logger, (error) => fail(error));
  try {
    const { appliedIndex, lastIndex, term } = node.replica.stats();
    const { replayedEntries, size: shards } = node.replicas;
    logger.info({ shards, appliedIndex, lastIndex, term, replayedEntries }, 'data opened');
    if (node.transport !== undefined) logLeaders(node.replica, logger);
    const cluster: ClusterPart = new ClusterPart({ settings, node, own: () => gateway.own, logger });
    const gateway: GatewayServer = new GatewayServer(settings, node, cluster, logger);
    void failed.then(() => gateway.failed());
    node.ties.onRemoved(() => gateway.failed());
    await gateway.listen();
    if (node.transport !== undefined) node.ties.settle(gateway.own);
    cluster.begin();
    return {
      settings,
      failed,
      address: gateway.address,
      metricsAddress: gateway.metricsAddress,
      peerAddress: node.transport?.address,
      found: { data: node.found, replayedEntries },
      close: () => gateway.close(),
      abort: () => gateway.abort(),
      [Symbol.asyncDispose]: () => gateway.close(),
    };
  } catch (error) {
    await node.close();
    throw error;
  }
}

async function startProxy(settings: ServerSettings, logger: Logger, failed: Promise<SparrowError>): Promise<RunningServer> {
  const { join } = settings;
  assert(join !== undefined, 'the settings of a proxy name a node');
  const proxy = new ProxyServer(settings, join, logger);
  await proxy.listen();
  return {
    settings,
    failed,
    address: proxy.address,
    metricsAddress: proxy.metricsAddress,
    peerAddress: undefined,
    found: { data: false, replayedEntries: 0 },
    close: () => proxy.close(),
    abort: () => proxy.abort(),
    [Symbol.asyncDispose]: () => proxy.close(),
  };
}

function logLeaders(replica: Replica, logger: Logger): void {
  replica.lead.onLeader(() => {
    const { id, leader, term } = replica.stats();
    if (leader === 0) logger.info({ term }, 'no node is known to lead');
    else logger.info({ leader, term }, leader === id ? 'this node leads' : 'another node leads');
  });
}
