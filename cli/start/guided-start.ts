/**
 * The guided start: three nodes on ./data with something real in them, and what to try next.
 *
 *   start three nodes (a process each)  ->  first time: import node_modules; meanwhile the leader is killed and comes back; read a sample back
 *                                       ->  say what to try  ->  serve
 *
 * With --single one server, and nobody is killed.
 */
import { existsSync } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { Command, CommanderError } from 'commander';

import { SparrowError } from '../../base/errors.ts';
import { connect } from '../../client/index.ts';
import { namedAddressInUse } from '../address-in-use.ts';
import { DEFAULT_ADDRESS } from '../client-command.ts';
import { EXIT_USAGE, exitCodeOf, messageOf } from '../exit.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { exitWhenReaderLeaves } from '../terminal/output.ts';
import { fillOrFind } from './fill.ts';
import { killTheLeader } from './kill-the-leader.ts';
import { type Node, NodeGroup, placesFrom } from './node-group.ts';
import { say, shown } from './say.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';
import { whatToTry } from './what-to-try.ts';

interface StartOptions {
  data: string;
  listen: string;
  tree: string;
  single?: boolean;
}

export async function runStart(argv: readonly string[]): Promise<void> {
  exitWhenReaderLeaves();
  const command = new Command('npm start --')
    .description(
      'Starts three nodes of a cluster on this machine, fills them with a real directory tree when they are empty, and goes on serving.',
    )
    .option('--data <dir>', 'where they keep their data', './data')
    .option(
      '--listen <address>',
      'where the first one listens, HOST:PORT; the others at PORT + 10 and PORT + 20, each with two ports more',
      DEFAULT_ADDRESS,
    )
    .option('--tree <dir>', 'the directory tree to import', './node_modules')
    .option('--single', 'one server instead')
    .showHelpAfterError('(npm start -- --help explains usage)')
    .exitOverride()
    .action((options: StartOptions) => start(options));
  try {
    await command.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      // Its message is printed already.
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
      return;
    }
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

async function start(options: StartOptions): Promise<void> {
  using interrupt = listenForInterrupt();
  await checkTree(options.tree);
  await checkData(options);
  await (options.single === true ? startSingle(options, interrupt.signal) : startThree(options, interrupt.signal));
}

async function startThree(options: StartOptions, signal: AbortSignal): Promise<void> {
  const { data, listen, tree } = options;
  const group = await advised(options, async () => {
    await checkPorts(listen);
    say(`Starting three nodes on ${shown(data)} ...`);
    return NodeGroup.start(data, listen, {
      line: (node, line) => process.stderr.write(`node ${node.id}: ${line}\n`),
      ended: (node, how, restartMs) =>
        say(`Node ${node.id} ended (${how}). It is started again in ${restartMs / 1000} s; the others go on.`),
      restarted: (node) => say(`Node ${node.id} is there again.`),
    });
  });
  await serve(group, signal, async () => {
    say(`SparrowKV runs as three nodes, each in a process of its own:\n\n${group.nodes.map((node) => row(group, node)).join('\n')}\n`);
    const leader = await group.leader(signal);
    say(`Node ${leader.id} leads. A write is answered when two of the three have it on disk.`);
    say(`Watch them: ${dashboardAt(group.nodes[0]!.metricsAddress)}\n`);
    await using client = connect(group.addresses, { timeoutMs: 60_000 });
    await group.known(signal);
    const example = await fillOrFind(client, {
      tree,
      signal,
      replicas: group.nodes.length,
      meanwhile: (meanwhile) => killTheLeader(group, meanwhile, signal),
    });
    say(whatToTry(example, group.addresses, group.processOf((await group.leader(signal)).id)));
    await interrupted(signal);
    say('Stopping the nodes ...');
  });
}

async function startSingle(options: StartOptions, signal: AbortSignal): Promise<void> {
  const { data, listen, tree } = options;
  const server = await advised(options, () =>
    startServerProcess(['--data', data, '--listen', listen, '--metrics-address', besides(listen)], (line) =>
      process.stderr.write(`server: ${line}\n`),
    ),
  );
  await serve(server, signal, async () => {
    say(`SparrowKV serves ${shown(data)} on ${server.address}. Watch it: ${dashboardAt(server.metricsAddress!)}`);
    await using client = connect(server.address, { timeoutMs: 60_000 });
    const example = await fillOrFind(client, { tree, signal, replicas: 1 });
    say(whatToTry(example, [server.address]));
    await over(server, signal);
    say('Stopping the server ...');
  });
}

/** Does `work`, and stops what serves whatever becomes of it. */
async function serve(serving: { stop(): Promise<void> }, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    // Ctrl-C is no failure.
    if (!signal.aborted) throw error;
    say('Interrupted; the next start goes on from here. Stopping ...');
  } finally {
    await serving.stop();
  }
  say('Stopped. The data stays; start again to find it.');
}

function row(group: NodeGroup, { id, address, data }: Node): string {
  return `  node ${id}   ${address}   process ${group.processOf(id) ?? '-'}   ${shown(data)}`;
}

async function checkTree(tree: string): Promise<void> {
  await access(tree).catch((error: unknown) => {
    throw new SparrowError('invalid', 'TREE_MISSING', `${tree} is not there: "npm ci" installs it, and --tree names another`, {}, error);
  });
}

/** What one kind of start has left is not for the other. */
async function checkData({ data, single }: StartOptions): Promise<void> {
  const names = await readdir(data).catch(() => [] as string[]);
  const advice = `or with a directory of its own: npm start -- ${single === true ? '--single ' : ''}--data ${join(data, '..', 'data2')}`;
  if (single !== true && names.includes('node.json')) {
    throw new SparrowError(
      'invalid',
      'OTHER_START',
      `${shown(data)} is that of one server; start it with "npm start -- --single", ${advice}`,
    );
  }
  if (single === true && names.includes('node1')) {
    throw new SparrowError('invalid', 'OTHER_START', `${shown(data)} is that of three nodes; start them without --single, ${advice}`);
  }
  const older = names.find((name) => name === 'engine' || name === 'raft');
  if (single !== true && older !== undefined) {
    throw new SparrowError(
      'invalid',
      'OTHER_START',
      `${shown(data)} is of an older version of SparrowKV; remove it, or start ${advice.slice(3)}`,
    );
  }
}

/** All of them before the first node makes its directory: a cluster keeps the addresses that it began with. */
async function checkPorts(listen: string): Promise<void> {
  const { assertFree, parseListen } = await import('../../server/index.ts');
  for (const { address, peerAddress, metricsAddress } of placesFrom(listen)) {
    for (const each of [address, peerAddress, metricsAddress]) {
      await assertFree(parseListen(each), each).catch((error: unknown) => Promise.reject(namedAddressInUse(error)));
    }
  }
}

/** With what to do about it. */
async function advised<T>({ listen, data, single }: StartOptions, begin: () => Promise<T>): Promise<T> {
  try {
    return await begin();
  } catch (error) {
    if (!(error instanceof SparrowError)) throw error;
    const advice = adviceFor(error.code, single === true ? '--single ' : '', elsewhere(listen), existsSync(join(data, 'node1')));
    throw advice === undefined ? error : new SparrowError(error.kind, error.code, `${error.message}\n${advice}`, error.details, error);
  }
}

/** `begun`: three nodes have data already; a cluster keeps the addresses that it began with. */
function adviceFor(code: string, single: string, listen: string, begun: boolean): string | undefined {
  const another = `npm start -- ${single}--data ./data2 --listen ${listen}`;
  switch (code) {
    case 'ADDRESS_IN_USE':
      return begun
        ? `Stop what runs there (another start?), or begin another cluster: ${another}`
        : `Stop what runs there (another start?), or choose another: npm start -- ${single}--listen ${listen}`;
    case 'LOCKED':
      return `Stop the other server, or use another directory: ${another}`;
    case 'OTHER_CLUSTER':
      return `A cluster keeps the addresses that it began with: start it with the --listen of then, or begin another: ${another}`;
    default:
      return undefined;
  }
}

/** Two ports on, as of each of three nodes; any port where any will do. */
function besides(listen: string): string {
  const at = listen.lastIndexOf(':');
  const port = Number(listen.slice(at + 1));
  return `${listen.slice(0, at)}:${port === 0 ? 0 : port + 2}`;
}

function dashboardAt(address: string): string {
  return `http://${address}/dashboard`;
}

/** A hundred ports on. */
function elsewhere(listen: string): string {
  const at = listen.lastIndexOf(':');
  const port = Number(listen.slice(at + 1));
  return `${listen.slice(0, at)}:${port > 0 && port < 65_000 ? port + 100 : 7500}`;
}

/** Settles at Ctrl-C. */
function interrupted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

/** Settles at Ctrl-C; throws when the server ends by itself. */
async function over(server: ServerProcess, signal: AbortSignal): Promise<void> {
  const end = await Promise.race([interrupted(signal), server.ended]);
  if (end !== undefined)
    throw new SparrowError(
      'unavailable',
      'SERVER_ENDED',
      `the server ended by itself (${end}); what was acknowledged is on disk, and the next start finds it`,
    );
}
