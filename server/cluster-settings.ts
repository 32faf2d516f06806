/**
 * The nodes that a cluster begins with: how settings and command line name them, and what follows for the node itself.
 *
 *   --cluster 1=10.0.0.1:7400/7401,2=10.0.0.2:7400/7401,3=10.0.0.3:7400/10.1.0.3:7401        ID=HOST:PORT/PEERPORT, ID=HOST:PORT/PEERHOST:PEERPORT
 *   cluster: {1: {address: "10.0.0.1:7400", peerAddress: "10.0.0.1:7401"}, ...}              the same in a file
 *
 * The list is the same on all of them: the cluster's id is made of it, so nodes that were given different lists are of different clusters and refuse
 * each other.
 */
import { SparrowError } from '../base/errors.ts';
import { xxh64 } from '../base/xxh64.ts';
import { parseListen, parseReachable } from './address.ts';

/** Where a node is reached, HOST:PORT. */
export interface NodeAddresses {
  /** By clients. */
  readonly address: string;
  /** By other nodes. */
  readonly peerAddress: string;
}

/** By node id. */
export type ClusterSettings = Readonly<Record<string, NodeAddresses>>;

export interface NodeSettings {
  readonly nodeId?: number | undefined;
  readonly listen?: string | undefined;
  readonly peerListen?: string | undefined;
  readonly cluster?: ClusterSettings | undefined;
  readonly join?: string | undefined;
}

export const NODE_ID_MAX = 0xffffffff;
export const DEFAULT_LISTEN = '127.0.0.1:7400';

/** What `--cluster` says. Throws `invalid/OPTION_RANGE`; whether the addresses make sense is `resolveNode`'s to tell. */
export function parseClusterList(list: string): ClusterSettings {
  const cluster: Record<string, NodeAddresses> = {};
  for (const entry of list.split(',')) {
    const match = /^\s*(\d+)=([^\s/=;]+):(\d+)\/(?:([^\s/=;]+):)?(\d+)\s*$/.exec(entry);
    if (match === null) throw wrong('cluster', `'${entry}' is not ID=HOST:PORT/PEERPORT, such as 1=127.0.0.1:7400/7401`);
    const [, id, host, port, peerHost, peerPort] = match as unknown as [string, string, string, string, string | undefined, string];
    if (Object.hasOwn(cluster, id)) throw wrong('cluster', `node ${id} is named twice`);
    cluster[id] = { address: `${host}:${port}`, peerAddress: `${peerHost ?? host}:${peerPort}` };
  }
  return cluster;
}

/** Checks what belongs together, and completes it: a node of a list listens where the list says, unless it is told otherwise. Throws `invalid/OPTION_RANGE`. */
export function resolveNode({ nodeId, cluster, join, ...given }: NodeSettings): { listen: string; peerListen: string | undefined } {
  if (join !== undefined) checkJoin(join, { nodeId, cluster, ...given });
  const own = cluster === undefined ? undefined : ownEntry(nodeId, cluster);
  const listen = given.listen ?? own?.address ?? DEFAULT_LISTEN;
  const peerListen = given.peerListen ?? own?.peerAddress;
  parseListen(listen);
  if (peerListen !== undefined) parseListen(peerListen, 'peerListen');
  if (peerListen !== undefined && own === undefined) {
    // Others will be told that this node is there.
    parseReachable(listen, 'listen');
    parseReachable(peerListen, 'peerListen');
  }
  if (peerListen === listen) throw wrong('peerListen', `clients are answered at ${listen}: other nodes need another port`);
  return { listen, peerListen };
}

/** Of a server that has no data and is no member. Throws `invalid/OPTION_RANGE`. */
export function resolveProxy({ nodeId, cluster, join, listen = DEFAULT_LISTEN, peerListen }: NodeSettings): {
  listen: string;
  peerListen: undefined;
} {
  if (join === undefined) throw wrong('join', 'a proxy is told a node of the cluster that it passes calls on to, HOST:PORT');
  parseReachable(join, 'join');
  parseListen(listen);
  if (nodeId !== undefined) throw wrong('nodeId', 'a proxy is no node of a cluster');
  if (cluster !== undefined) throw wrong('cluster', 'a proxy begins no cluster');
  if (peerListen !== undefined) throw wrong('peerListen', 'a proxy does not listen to other nodes');
  return { listen, peerListen: undefined };
}

/** Node ids of a list, ascending. */
export function nodesOf(cluster: ClusterSettings): number[] {
  return Object.keys(cluster)
    .map(Number)
    .toSorted((a, b) => a - b);
}

/** XXH64 of `NAME\nID=ADDRESS/PEERADDRESS,...`, ids ascending: the same on each node that begins with the same list. */
export function clusterIdOf(cluster: ClusterSettings, name: string): bigint {
  const list = nodesOf(cluster).map((id) => `${id}=${cluster[id]!.address}/${cluster[id]!.peerAddress}`);
  const text = Buffer.from(`${name}\n${list.join(',')}`);
  const { high, low } = xxh64(text, 0, text.length, 0);
  return (BigInt(high) << 32n) | BigInt(low);
}

function checkJoin(join: string, { nodeId, cluster, peerListen }: NodeSettings): void {
  parseReachable(join, 'join');
  if (cluster !== undefined)
    throw wrong('join', 'a node that joins learns who the others are; a cluster is named only by the nodes that it begins with');
  if (nodeId === undefined) throw wrong('nodeId', 'a node that joins a cluster has an id that no other ever had there');
  if (peerListen === undefined) throw wrong('peerListen', 'a node that joins a cluster says where it listens to the others, HOST:PORT');
}

function ownEntry(nodeId: number | undefined, cluster: ClusterSettings): NodeAddresses {
  const ids = Object.keys(cluster);
  if (ids.length === 0) throw wrong('cluster', 'it names no node');
  const taken = new Map<string, string>();
  for (const id of ids) {
    if (!/^[1-9]\d*$/.test(id) || Number(id) > NODE_ID_MAX)
      throw wrong('cluster', `a node's id is a number from 1 to ${NODE_ID_MAX}, not '${id}'`);
    for (const name of ['address', 'peerAddress'] as const) {
      const field = `cluster.${id}.${name}`;
      const address = cluster[id]![name];
      parseReachable(address, field);
      const other = taken.get(address);
      if (other !== undefined) throw wrong(field, `${address} is that of ${other} already`);
      taken.set(address, field);
    }
  }
  const nodes = nodesOf(cluster).join(', ');
  if (nodeId === undefined) throw wrong('nodeId', `which of the nodes ${nodes} of the cluster is this one?`);
  const own = cluster[nodeId];
  if (own === undefined) throw wrong('nodeId', `the cluster has the nodes ${nodes}, and no node ${nodeId}`);
  return own;
}

function wrong(field: string, what: string): SparrowError {
  return new SparrowError('invalid', 'OPTION_RANGE', `${field}: ${what}`, { field });
}
