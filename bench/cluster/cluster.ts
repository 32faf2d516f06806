/** A cluster of server processes on loopback, each with a directory of its own; ours or etcd's. The same for both: new directories, the defaults of each, fsync on. */
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Member } from './member.ts';

const READY_MS_MAX = 120_000;
const MAIN: string = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** Overwritten values stay in etcd's file until its history is compacted; by default it refuses writes from 2 GiB on. */
const ETCD_QUOTA_BYTES: number = 16 * 2 ** 30;

export interface Cluster extends AsyncDisposable {
  /** HOST:PORT of each node, for clients. */
  readonly addresses: readonly string[];
  /** Of those that were not killed. */
  readonly processIds: readonly number[];
  /** Throws when a node has ended that was not killed. */
  check(): void;
  /** At once, for good; nodes are counted from 1. */
  kill(node: number): Promise<void>;
}

export interface ClusterOptions {
  readonly nodes: number;
  /** How many of them a cluster of ours begins with; the others join it. Default: all. */
  readonly founders?: number;
  /** Does not exist yet; removed with the cluster. */
  readonly directory: string;
  /** Where CPU profiles go; ours only. */
  readonly profile: string | undefined;
}

interface Place {
  readonly id: number;
  readonly data: string;
  readonly port: number;
  readonly peerPort: number;
}

/** `dist/` of this repository, as users run it. */
export async function startSparrowkv(options: ClusterOptions): Promise<Cluster> {
  if (!existsSync(MAIN)) throw new Error('there is no dist/: npm run build');
  const { nodes, founders = nodes, profile } = options;
  const places = await placesIn(options);
  const [first, others] = [places.slice(0, founders), places.slice(founders)];
  const list = first.map(({ id, port, peerPort }) => `${id}=127.0.0.1:${port}/${peerPort}`).join(',');
  const listens = ({ port }: Place): string[] => ['--listen', `127.0.0.1:${port}`];
  const founds = (place: Place): string[] => (nodes === 1 ? listens(place) : ['--node-id', `${place.id}`, '--cluster', list]);
  const joins = (place: Place): string[] => [
    ...['--node-id', `${place.id}`, ...listens(place), '--peer-listen', `127.0.0.1:${place.peerPort}`],
    ...['--join', `127.0.0.1:${first[0]!.port}`],
  ];
  const members: Member[] = [];
  const cluster = new Processes(options, places, members);
  const start = async (those: readonly Place[], where: (place: Place) => string[]): Promise<void> => {
    const started = those.map((place) => {
      const operands = [...profiled(profile, place.id), MAIN, 'server', '--data', place.data, ...where(place)];
      return new Member({ program: process.execPath, operands, channel: true });
    });
    members.push(...started);
    await Promise.all(started.map((member) => member.ready(READY_MS_MAX)));
  };
  try {
    await start(first, founds);
    await start(others, joins);
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
  return cluster;
}

/** Whether it answers is for the first caller to find out: it says nothing itself. */
export async function startEtcd(program: string, options: ClusterOptions): Promise<Cluster> {
  const places = await placesIn(options);
  const list = places.map(({ id, peerPort }) => `n${id}=http://127.0.0.1:${peerPort}`).join(',');
  const members = places.map(({ id, data, port, peerPort }) => {
    const client = `http://127.0.0.1:${port}`;
    const peer = `http://127.0.0.1:${peerPort}`;
    const operands = [
      ...['--name', `n${id}`, '--data-dir', data],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ...['--initial-cluster', list, '--initial-cluster-state', 'new'],
      ...['--quota-backend-bytes', `${ETCD_QUOTA_BYTES}`, '--logger', 'zap', '--log-level', 'error'],
    ];
    return new Member({ program, operands, channel: false });
  });
  return new Processes(options, places, members);
}

class Processes implements Cluster {
  readonly addresses: readonly string[];
  readonly #directory: string;
  readonly #inOrder: boolean;
  readonly #members: readonly Member[];
  readonly #killed: Set<Member> = new Set();

  constructor({ directory, profile }: ClusterOptions, places: readonly Place[], members: readonly Member[]) {
    this.#directory = directory;
    this.#inOrder = profile !== undefined;
    this.#members = members;
    this.addresses = places.map(({ port }) => `127.0.0.1:${port}`);
  }

  get processIds(): readonly number[] {
    return this.#living.map(({ pid }) => pid);
  }

  check(): void {
    for (const { ended } of this.#living) if (ended !== undefined) throw new Error(`a server ended: ${ended}`);
  }

  async kill(node: number): Promise<void> {
    const member = this.#members[node - 1]!;
    this.#killed.add(member);
    await member.stop(false);
  }

  get #living(): readonly Member[] {
    return this.#members.filter((member) => !this.#killed.has(member));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map((member) => member.stop(this.#inOrder)));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function profiled(directory: string | undefined, id: number): string[] {
  return directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(directory, `node-${id}`)}`];
}

async function placesIn({ nodes, directory }: ClusterOptions): Promise<Place[]> {
  mkdirSync(directory, { recursive: true });
  const ports = await freePorts(2 * nodes);
  return Array.from({ length: nodes }, (_, i) => ({
    id: i + 1,
    data: join(directory, `node-${i + 1}`),
    port: ports[2 * i]!,
    peerPort: ports[2 * i + 1]!,
  }));
}

/** All at once, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const probes = Array.from({ length: count }, (): Server => createServer().listen(0, '127.0.0.1'));
  await Promise.all(probes.map((probe) => once(probe, 'listening')));
  const ports = probes.map((probe) => (probe.address() as AddressInfo).port);
  await Promise.all(
    probes.map((probe) => {
      probe.close();
      return once(probe, 'close');
    }),
  );
  return ports;
}
