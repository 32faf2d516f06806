/**
 * `sparrowkv server`: runs a server, alone or as a node of a cluster, until SIGTERM or SIGINT.
 *
 * stdout gets one line, when calls are taken: "sparrowkv VERSION serves DIR on HOST:PORT". Everything else goes to stderr. The first signal stops
 * the server in order, within 5 s; a second one ends it at once. Started with a channel (start/server-process.ts), the server says the same over
 * it, and stops when it breaks.
 */
import { resolve } from 'node:path';

import { type Command, InvalidArgumentError } from 'commander';

import { SparrowError } from '../../base/errors.ts';
import type { RunningServer } from '../../server/index.ts';
import { namedAddressInUse } from '../address-in-use.ts';
import { DEFAULT_ADDRESS } from '../client-command.ts';
import { EXIT_FAILED } from '../exit.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { letHeapGrow } from '../server-heap.ts';
import type { ServerMessage } from '../server-messages.ts';

const HELP = `
Prints one line when it is ready, and then serves until SIGTERM or SIGINT (Ctrl-C), which stop it
in good order within 5 seconds; a second signal stops it at once. Either is safe: what was
acknowledged is on disk.

Several servers make a cluster when all of them are given the same list of nodes, and each its
own id. A node is ID=HOST:PORT/PEERPORT (or ID=HOST:PORT/PEERHOST:PEERPORT): the first port
is for clients, the second for the other nodes. A majority of them has to run.

Examples:
  sparrowkv server --data ./data
  sparrowkv server --data /var/lib/sparrowkv --listen 0.0.0.0:7400 --config sparrowkv.yaml
  sparrowkv server --data ./data --metrics-address 127.0.0.1:9100

Three nodes on one machine, each in a terminal of its own:
  NODES=1=127.0.0.1:7400/7401,2=127.0.0.1:7410/7411,3=127.0.0.1:7420/7421
  sparrowkv server --data ./data1 --node-id 1 --cluster $NODES
  sparrowkv server --data ./data2 --node-id 2 --cluster $NODES
  sparrowkv server --data ./data3 --node-id 3 --cluster $NODES

A fourth one joins them, and gets its share of shards by itself:
  sparrowkv server --data ./data4 --node-id 4 --listen 127.0.0.1:7430 --peer-listen 127.0.0.1:7431 \\
    --join 127.0.0.1:7400

A proxy, for clients without the SDK: it has no data, and passes on what it is asked:
  sparrowkv server --role proxy --listen 127.0.0.1:7450 --join 127.0.0.1:7400
`;

const STOP_MS_MAX = 5_000;
/** A start that is to be stopped goes on for so long: it may be waiting for a member to be joined, or reading a large log. */
const START_MS_LEFT = 1_000;
const ROLES = ['meta', 'node', 'proxy', 'all'] as const;
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
type LogLevel = (typeof LOG_LEVELS)[number];

interface ServerCommandOptions {
  data?: string;
  listen?: string;
  nodeId?: number;
  cluster?: string;
  clusterName?: string;
  peerListen?: string;
  join?: string;
  metricsAddress?: string;
  zone?: string;
  pool?: string;
  role?: (typeof ROLES)[number];
  label?: Record<string, string>;
  config?: string;
  logLevel?: LogLevel;
}

export function addServer(program: Command): void {
  const command = program
    .command('server')
    .description('run a server')
    .option('--data <dir>', 'where it keeps its data; made when it is not there')
    .option('--listen <address>', `where it listens, HOST:PORT (default: its own address in --cluster, or ${DEFAULT_ADDRESS})`)
    .option('--node-id <id>', 'which node of the cluster it is, a number from 1 on', parseNodeId)
    .option('--cluster <nodes>', 'the nodes that the cluster begins with, ID=HOST:PORT/PEERPORT,...; the same on each of them')
    .option('--join <address>', 'HOST:PORT of a member of a running cluster, which this node is to be taken into, or passes calls on to')
    .option('--cluster-name <name>', 'tells clusters apart that begin with the same list of nodes')
    .option('--peer-listen <address>', 'where it listens to other nodes, HOST:PORT (default: its own in --cluster, or nowhere)')
    .option(
      '--metrics-address <address>',
      'where it answers GET /metrics for Prometheus and shows the dashboard, HOST:PORT (default: nowhere)',
    )
    .option('--zone <name>', 'its fault domain: replicas of a shard are spread over zones (default: default)')
    .option('--pool <name>', 'tables are in one pool, and have replicas on its nodes only (default: default)')
    .option('--role <role>', `what it is for: ${ROLES.join(', ')} (default: all)`, parseRole)
    .option('--label <name=value>', 'what else people want to see of it; may be given several times', parseLabel)
    .option('--config <file>', 'a YAML file of settings; options here win over it')
    .option(
      '--log-level <level>',
      `what it logs on stderr, as JSON lines: ${LOG_LEVELS.join(', ')} (default: warn; info with --config)`,
      parseLogLevel,
    )
    .addHelpText('after', HELP);
  command.action(async (options: ServerCommandOptions) => {
    if (options.data === undefined && options.config === undefined && options.role !== 'proxy') {
      command.error("error: '--data <dir>' is needed (or a --config that sets data)");
    }
    await serve(options);
  });
}

async function serve(options: ServerCommandOptions): Promise<void> {
  letHeapGrow();
  using interrupt = listenForInterrupt();
  const stop = stopReason(interrupt.signal);
  let server: RunningServer | undefined;
  // Until it serves, nobody was promised anything: ending it is safe at any moment.
  void stop.then(() => setTimeout(() => server ?? process.exit(0), START_MS_LEFT).unref());
  try {
    server = await start(options);
  } catch (error) {
    tellParent(failure(error));
    closeChannel();
    throw error;
  }
  const { SERVER_VERSION } = await import('../../server/index.ts');
  const { role, data, join } = server.settings;
  const what = role === 'proxy' ? `passes calls on to the cluster of ${join}` : `serves ${data}`;
  process.stdout.write(`sparrowkv ${SERVER_VERSION} ${what} on ${server.address}\n`);
  tellParent({ type: 'ready', address: server.address, metricsAddress: server.metricsAddress });
  const failed = await Promise.race([stop, server.failed]);
  // A stop that hangs is an error of ours, but the process must end all the same.
  const watchdog = setTimeout(() => process.exit(EXIT_FAILED), STOP_MS_MAX);
  await server.close();
  clearTimeout(watchdog);
  closeChannel();
  if (failed !== undefined) throw failed;
  // Ended as asked for: that is no failure, whatever the signal.
  process.exitCode = 0;
}

async function start(options: ServerCommandOptions): Promise<RunningServer> {
  const { loadSettings, parseClusterList, startServer } = await import('../../server/index.ts');
  const { config, cluster: list, label: labels, ...rest } = options;
  const given = labels === undefined ? rest : { ...rest, labels };
  const flags = list === undefined ? given : { ...given, cluster: parseClusterList(list) };
  // Whole, as status tells it to people who are elsewhere. An empty one is refused below: it is a variable without a value, not this directory.
  if (flags.data) flags.data = resolve(flags.data);
  // A file has the say on what no option names.
  const settings = loadSettings(config, config === undefined ? { logLevel: 'warn', ...flags } : flags);
  try {
    return await startServer(settings);
  } catch (error) {
    throw namedAddressInUse(error);
  }
}

/** Settles at the first signal, or when the parent that holds our channel has gone. */
function stopReason(signal: AbortSignal): Promise<undefined> {
  return new Promise((settle) => {
    signal.addEventListener('abort', () => settle(undefined), { once: true });
    process.once('disconnect', () => settle(undefined));
  });
}

function tellParent(message: ServerMessage): void {
  process.send?.(message);
}

/** The channel alone would keep this process. */
function closeChannel(): void {
  if (process.connected) process.disconnect();
}

function failure(error: unknown): ServerMessage {
  const { kind, code, message, details } = error instanceof SparrowError ? error : new SparrowError('internal', 'INTERNAL', String(error));
  return { type: 'failed', kind, code, message, details };
}

function parseNodeId(text: string): number {
  const id = Number(text);
  if (!/^[1-9]\d*$/.test(text) || id > 0xffffffff) throw new InvalidArgumentError('A number from 1 to 4294967295 is asked for.');
  return id;
}

function parseRole(text: string): (typeof ROLES)[number] {
  const role = ROLES.find((known) => known === text);
  if (role === undefined) throw new InvalidArgumentError(`One of ${ROLES.join(', ')} is asked for.`);
  return role;
}

function parseLabel(text: string, before: Record<string, string> = {}): Record<string, string> {
  const match = /^([^=]+)=(.+)$/.exec(text);
  if (match === null) throw new InvalidArgumentError('NAME=VALUE is asked for, such as rack=r7.');
  return { ...before, [match[1]!]: match[2]! };
}

function parseLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined) throw new InvalidArgumentError(`One of ${LOG_LEVELS.join(', ')} is asked for.`);
  return level;
}
