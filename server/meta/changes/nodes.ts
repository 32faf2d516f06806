/**
 * Nodes come, are looked after, and go.
 *
 *   registered    by themselves, at each start; what was known of a node stays known
 *   health        as placement/health.ts decides
 *   duty          as operators say: drain, undrain, decommission; and decommissioned when everything has moved away
 *
 * Pure. Called by the shell.
 */
import { FIRST_SHARD } from '../../shard/descriptor.ts';
import type { Registration } from '../attending.ts';
import { idTaken } from '../lost-directory.ts';
import type { NodeDuty, NodeHealth, NodeRecord } from '../node.ts';
import type { Change, ClusterState } from '../state.ts';
import { DEFAULT_POOL } from '../table.ts';
import { change, checkWhole, invalid } from './change.ts';

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const NAME_RULE = '1 to 64 letters, digits, dots, underscores and dashes';
const LABELS_MAX = 64;
const U32_MAX = 0xffffffff;
const ZONE_UNSET = 'default';

/**
 * A node is there. Throws `invalid/NODE_REMOVED` for one that was decommissioned, `invalid/NODE_ID_TAKEN` for one with another data directory than the node has,
 * `invalid/NODE` for what makes no sense, `invalid/NODE_ADDRESS_TAKEN` when another node that is up has its address.
 */
export function registerNode(state: ClusterState, registration: Registration, nowMs: number): Change<NodeRecord> {
  const { node: id, address, peerAddress, role, labels, diskBytes, cores, version } = registration;
  checkWhole('NODE', 'node', id, 1, U32_MAX);
  checkWhole('NODE', 'diskBytes', diskBytes, 0, Number.MAX_SAFE_INTEGER);
  checkWhole('NODE', 'cores', cores, 0, 65_536);
  const zone = named('zone', registration.zone || ZONE_UNSET);
  const pool = named('pool', registration.pool || DEFAULT_POOL);
  if (!['meta', 'node', 'proxy', 'all'].includes(role))
    throw invalid('NODE', `role is meta, node, proxy or all, not ${role}`, { field: 'role' });
  for (const [name, value] of Object.entries(labels)) {
    named('label', name);
    if (value.length > 256)
      throw invalid('NODE', `label ${name} has ${value.length} characters, and 256 at most are kept`, { field: 'labels', limit: 256 });
  }
  const count = Object.keys(labels).length;
  if (count > LABELS_MAX)
    throw invalid('NODE', `${count} labels, and ${LABELS_MAX} at most are kept`, { field: 'labels', limit: LABELS_MAX });
  checkAddress(state, id, peerAddress);

  const known = state.nodes.get(id)?.record;
  if (known?.duty === 'decommissioned')
    throw invalid(
      'NODE_REMOVED',
      `node ${id} was decommissioned, and an id is used once: start it with an empty directory and another id`,
      { node: id },
    );
  const directoryId = known?.directoryId ?? (registration.directoryId || undefined);
  checkDirectory(state, registration, directoryId);
  const record: NodeRecord = {
    id,
    address,
    peerAddress,
    zone,
    pool,
    role,
    labels,
    capacity: { diskBytes, cores },
    duty: known?.duty ?? 'active',
    health: 'up',
    healthSinceMs: known?.health === 'up' ? known.healthSinceMs : nowMs,
    registeredAtMs: known?.registeredAtMs ?? nowMs,
    version,
    ...(directoryId !== undefined && { directoryId }),
  };
  return change(state, known !== undefined && same(known, record) ? [] : [{ kind: 'node', id, record }], record);
}

/** Nothing when that is what it is already. */
export function setHealth(state: ClusterState, id: number, health: NodeHealth, nowMs: number): Change {
  const known = theNode(state, id);
  if (known.health === health) return change(state, [], undefined);
  return change(state, [{ kind: 'node', id, record: { ...known, health, healthSinceMs: nowMs } }], undefined);
}

/**
 * What a node is for from now on. Throws `invalid/NODE_UNKNOWN`; `invalid/NODE_REMOVED` for one that was decommissioned; `invalid/NODE_NOT_EMPTY` when one is
 * said to be decommissioned that has replicas.
 */
export function setDuty(state: ClusterState, id: number, duty: NodeDuty): Change<NodeRecord> {
  const known = theNode(state, id);
  if (known.duty === duty) return change(state, [], known);
  if (known.duty === 'decommissioned') throw invalid('NODE_REMOVED', `node ${id} was decommissioned, and does not come back`, { node: id });
  const { size } = state.nodes.get(id)!.shards;
  if (duty === 'decommissioned' && size > 0)
    throw invalid('NODE_NOT_EMPTY', `node ${id} has ${size} replicas: decommission it, and it is removed when they have moved away`, {
      node: id,
      replicas: size,
    });
  const record = { ...known, duty };
  return change(state, [{ kind: 'node', id, record }], record);
}

function theNode(state: ClusterState, id: number): NodeRecord {
  const node = state.nodes.get(id);
  if (node === undefined) throw invalid('NODE_UNKNOWN', `there is no node ${id}`, { node: id });
  return node.record;
}

/** One that tells none is believed. */
function checkDirectory(state: ClusterState, { node, directoryId }: Registration, known: string | undefined): void {
  if (directoryId === '' || directoryId === known) return;
  const isMember = state.shards.get(FIRST_SHARD)?.record.replicas.some((replica) => replica.node === node) ?? false;
  throw idTaken(node, Math.max(...state.nodes.keys()) + 1, isMember);
}

function checkAddress(state: ClusterState, id: number, peerAddress: string): void {
  if (peerAddress === '') return;
  for (const { record } of state.nodes.values()) {
    if (record.id !== id && record.peerAddress === peerAddress && record.health === 'up' && record.duty !== 'decommissioned')
      throw invalid('NODE_ADDRESS_TAKEN', `node ${record.id}, which is up, has the address ${peerAddress} that node ${id} says it has`, {
        field: 'peerAddress',
        node: record.id,
      });
  }
}

function named(field: string, name: string): string {
  if (!NAME.test(name)) throw invalid('NODE', `${field} '${name}': a name has ${NAME_RULE}`, { field });
  return name;
}

function same(a: NodeRecord, b: NodeRecord): boolean {
  const { labels: aLabels, capacity: aCapacity, ...aRest } = a;
  const { labels: bLabels, capacity: bCapacity, ...bRest } = b;
  return (
    Object.keys(aRest).length === Object.keys(bRest).length &&
    Object.entries(aRest).every(([field, value]) => bRest[field as keyof typeof bRest] === value) &&
    aCapacity.diskBytes === bCapacity.diskBytes &&
    aCapacity.cores === bCapacity.cores &&
    Object.keys(aLabels).length === Object.keys(bLabels).length &&
    Object.entries(aLabels).every(([name, value]) => bLabels[name] === value)
  );
}
