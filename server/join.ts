/**
 * How a node learns of a cluster from one that is in it: who is a member and where, and which ids are used up. It is asked over the same service as an
 * operator asks (Admin.ClusterStatus).
 *
 * A node that joins begins with what it is told here, has no vote and no data, and waits until an operator has it taken in. A node that begins a cluster with
 * others asks them, too: should one of them say that it was there before, its data are lost, and with them what it promised. It must not vote.
 *
 * Called by node-parts.ts and cluster-watch.ts.
 */
import { type ChannelCredentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { SparrowError } from '../base/errors.ts';
import { CODE_TRAILER, DETAILS_TRAILER, errorOf, KIND_TRAILER, plainMessage } from '../base/rpc-status.ts';
import { AdminClient, type ClusterStatusResponse } from '../proto/index.ts';
import { idTaken, joinAnew } from './meta/lost-directory.ts';
import type { NodeAddress } from './node/index.ts';

/** What a node says of its cluster. */
export interface ClusterFacts {
  readonly clusterId: bigint;
  /** Of members. */
  readonly nodes: ReadonlyMap<number, NodeAddress>;
  /** Those that have data. */
  readonly begun: ReadonlySet<number>;
  readonly removed: ReadonlySet<number>;
  /** With the metaserver, as far as was told: members or not, they have, or had, data. */
  readonly registered: ReadonlySet<number>;
  /** The least id that was never used. */
  readonly freeId: number;
}

const ASK_MS_MAX = 3000;
const PAUSE_MS = 500;
/** A node that begins waits no longer for those that do not answer. */
const BEGINNING_MS_MAX = 1000;

/** What the node at `address` says. Throws `unavailable/UNREACHABLE`, `invalid/NO_CLUSTER` for one that is in no cluster that could be joined. */
export async function askCluster(address: string, credentials: ChannelCredentials, msMax: number = ASK_MS_MAX): Promise<ClusterFacts> {
  const { clusterId, members, node, removedIds, registeredIds, freeId } = await clusterStatus(address, credentials, msMax);
  if (clusterId === '' || node?.peerAddress === '') {
    throw noCluster(address, 'it listens to no other nodes: start it with --peer-listen HOST:PORT first');
  }
  if (members.length === 0) throw noCluster(address, 'it waits to be taken in itself: name a member of the cluster');
  const nodes = members.map(({ id, address: client, peerAddress }): [number, NodeAddress] => [id, { address: client, peerAddress }]);
  const begun = members.filter((member) => member.begun).map(({ id }) => id);
  return {
    clusterId: BigInt(`0x${clusterId}`),
    nodes: new Map(nodes),
    begun: new Set(begun),
    removed: new Set(removedIds),
    registered: new Set(registeredIds),
    freeId,
  };
}

/**
 * For a node that has an empty directory and is one of those that begin cluster `clusterId`: whether the others, as far as they answer, know it as one that has
 * begun already. Throws `invalid/NODE_DATA_LOST`, `invalid/NODE_REMOVED`.
 */
export async function checkBeginning(
  others: readonly string[],
  credentials: ChannelCredentials,
  nodeId: number,
  clusterId: bigint,
): Promise<void> {
  const answers = await Promise.allSettled(others.map((address) => askCluster(address, credentials, BEGINNING_MS_MAX)));
  for (const answer of answers) {
    // Who is not there yet begins, too.
    if (answer.status === 'rejected' || answer.value.clusterId !== clusterId) continue;
    const facts = answer.value;
    if (facts.removed.has(nodeId)) throw usedUp(facts, nodeId);
    if (!facts.begun.has(nodeId) && !facts.registered.has(nodeId)) continue;
    const { freeId } = facts;
    throw new SparrowError(
      'invalid',
      'NODE_DATA_LOST',
      `node ${nodeId} has had data in this cluster, and its directory is empty: what it promised to the others is forgotten, and it must not vote again. ` +
        `What to do: ${joinAnew(nodeId, freeId, facts.nodes.has(nodeId))}`,
      { node: nodeId, free: freeId },
    );
  }
}

/** The same for a node that begins: the other one may still be starting. Throws `unavailable/JOIN` after `msMax`. */
export async function askToJoin(address: string, credentials: ChannelCredentials, nodeId: number, msMax: number): Promise<ClusterFacts> {
  const endMs = performance.now() + msMax;
  for (;;) {
    try {
      const facts = await askCluster(address, credentials);
      checkUnused(facts, nodeId);
      return facts;
    } catch (error) {
      if (!(error instanceof SparrowError) || error.kind !== 'unavailable') throw error;
      if (performance.now() + PAUSE_MS > endMs) {
        throw new SparrowError(
          'unavailable',
          'JOIN',
          `no node answers at ${address}, to join its cluster: ${error.message}`,
          { join: address },
          error,
        );
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** For a node whose directory is empty. What nobody could tell yet, the metaserver finds out: it compares directories when nodes register. */
function checkUnused({ nodes, removed, registered, freeId }: ClusterFacts, nodeId: number): void {
  if (removed.has(nodeId)) throw usedUp({ freeId }, nodeId);
  if (!nodes.has(nodeId) && !registered.has(nodeId)) return;
  throw idTaken(nodeId, freeId, nodes.has(nodeId));
}

function usedUp({ freeId }: Pick<ClusterFacts, 'freeId'>, nodeId: number): SparrowError {
  return new SparrowError(
    'invalid',
    'NODE_REMOVED',
    `node ${nodeId} was removed from this cluster, and an id is used once: take another one, such as --node-id ${freeId}`,
    { field: 'nodeId', node: nodeId, free: freeId },
  );
}

function clusterStatus(address: string, credentials: ChannelCredentials, msMax: number): Promise<ClusterStatusResponse> {
  const client = new AdminClient(address, credentials, { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_channelz': 0 });
  return new Promise<ClusterStatusResponse>((resolve, reject) => {
    client.clusterStatus({}, new Metadata(), { deadline: Date.now() + msMax }, (error, answer) => {
      if (error === null) resolve(answer);
      else reject(refusal(address, error));
    });
  }).finally(() => client.close());
}

function refusal(address: string, { code, details, metadata }: ServiceError): SparrowError {
  if (code === status.UNIMPLEMENTED) {
    return noCluster(address, 'it does not tell. Is that its port for other nodes? Name the one for clients');
  }
  const trailer = (name: string): string => String(metadata?.get(name)[0] ?? '');
  const error = errorOf({
    status: code,
    message: plainMessage(details),
    kind: trailer(KIND_TRAILER),
    code: trailer(CODE_TRAILER),
    details: trailer(DETAILS_TRAILER),
  });
  return error.kind === 'unavailable'
    ? new SparrowError('unavailable', 'UNREACHABLE', `cannot reach ${address}: ${error.message}`, { address }, error)
    : error;
}

function noCluster(address: string, why: string): SparrowError {
  return new SparrowError('invalid', 'NO_CLUSTER', `the node at ${address} is in no cluster that could be joined: ${why}`, {
    field: 'join',
    address,
  });
}
