/**
 * What passes over Meta.Attend, as messages of proto/sparrowkv/v1/meta.proto, and back. What comes from the other end is checked here: of a message that
 * makes no sense the stream ends.
 *
 * Used by meta-service.ts (the leader's end) and server/leader-link.ts (the node's).
 */
import { SparrowError } from '../../base/errors.ts';
import type {
  AttendRequest,
  AttendResponse,
  NodeEntry,
  NodeReport as NodeReportMessage,
  Order as OrderMessage,
  OrderDone,
  Registration as RegistrationMessage,
  ShardReport as ShardReportMessage,
} from '../../proto/index.ts';
import type { FromNode, NodePlace, NodeReport, Registration, ShardReport, ToNode } from '../meta/attending.ts';
import type { NodeRole } from '../meta/node.ts';
import type { Order, OrderReport, SplitPlace } from '../meta/orders.ts';
import { decodeConfiguration, decodeConfigurationChange, encodeConfiguration, encodeConfigurationChange } from '../raft/index.ts';
import { decodeDescriptor, encodeDescriptor } from '../shard/descriptor.ts';

const ROLES: readonly NodeRole[] = ['meta', 'node', 'proxy', 'all'];
const REPLICA_ROLES: readonly ShardReport['role'][] = ['leader', 'follower', 'pre-candidate', 'candidate', 'stopped'];

export function attendRequest(message: FromNode): AttendRequest {
  switch (message.type) {
    case 'register':
      return { message: { $case: 'register', value: registrationMessage(message.registration) } };
    case 'report':
      return { message: { $case: 'report', value: reportMessage(message.report) } };
    case 'done':
      return { message: { $case: 'done', value: doneMessage(message.done) } };
    case 'probed':
      return { message: { $case: 'probed', value: { node: message.node, reached: message.reached } } };
  }
}

/** Throws `invalid/ATTEND` and what decoders throw. */
export function fromNode({ message }: AttendRequest): FromNode {
  switch (message?.$case) {
    case 'register':
      return { type: 'register', registration: registration(message.value) };
    case 'report':
      return { type: 'report', report: report(message.value) };
    case 'done':
      return { type: 'done', done: done(message.value) };
    case 'probed':
      return { type: 'probed', node: message.value.node, reached: message.value.reached };
    case undefined:
      throw invalid('a message of a node is empty, or of a later release');
  }
}

export function attendResponse(message: ToNode): AttendResponse {
  switch (message.type) {
    case 'welcome': {
      const { term, leader, reportMs } = message;
      return { message: { $case: 'welcome', value: { term, leader, reportMs } } };
    }
    case 'order': {
      const { term, given } = message;
      return { message: { $case: 'order', value: { id: given.id, term, order: orderMessage(given.order) } } };
    }
    case 'nodes': {
      const { version, nodes, removed } = message;
      return { message: { $case: 'nodes', value: { version, nodes: nodes.map((place) => ({ ...place })), removed: [...removed] } } };
    }
    case 'probe':
      return { message: { $case: 'probe', value: { node: message.node } } };
    case 'quotas':
      return { message: { $case: 'quotas', value: { shares: [...message.shares] } } };
  }
}

/** Undefined: of a later release, and not understood. Throws what decoders throw. */
export function toNode({ message }: AttendResponse): ToNode | undefined {
  switch (message?.$case) {
    case 'welcome':
      return { type: 'welcome', ...message.value };
    case 'order': {
      const order = orderOf(message.value);
      return order && { type: 'order', term: message.value.term, given: { id: message.value.id, order } };
    }
    case 'nodes': {
      const { version, nodes, removed } = message.value;
      return { type: 'nodes', version, nodes: nodes.map(place), removed };
    }
    case 'probe':
      return { type: 'probe', node: message.value.node };
    case 'quotas':
      return { type: 'quotas', shares: message.value.shares };
    case undefined:
      return undefined;
  }
}

function registrationMessage(value: Registration): RegistrationMessage {
  const { diskBytes, labels, ...rest } = value;
  return { ...rest, capacityBytes: diskBytes, labels: { ...labels } };
}

function registration(value: RegistrationMessage): Registration {
  const { clusterId, labels, version, incarnation, directoryId, capacityBytes, cores } = value;
  if (value.node === 0) throw invalid('a node registers without an id');
  return { ...place(value), clusterId, labels, version, incarnation, directoryId, diskBytes: capacityBytes, cores };
}

function place({ node, address, peerAddress, zone, pool, role }: NodeEntry): NodePlace {
  return { node, address, peerAddress, zone, pool, role: oneOf(ROLES, role, 'role') };
}

function reportMessage({ sequence, load, shards, failed = [], full, gone, demands = [] }: NodeReport): NodeReportMessage {
  return { sequence, ...load, shards: shards.map(shardMessage), failed: [...failed], full, gone: [...gone], demands: [...demands] };
}

function report(value: NodeReportMessage): NodeReport {
  const { sequence, shards, failed, full, gone, demands, ...load } = value;
  const some = { ...(failed.length > 0 && { failed }), ...(demands.length > 0 && { demands }) };
  return { sequence, load, shards: shards.map(shard), full, gone, ...some };
}

function shardMessage(value: ShardReport): ShardReportMessage {
  const { descriptor, configuration, matches, applied, ...rest } = value;
  return {
    ...rest,
    descriptor: encodeDescriptor(descriptor),
    configuration: Buffer.from(encodeConfiguration(configuration)),
    members: matches.map(({ node, match }) => ({ node, matchIndex: match })),
    appliedIndex: applied,
  };
}

function shard(value: ShardReportMessage): ShardReport {
  const { descriptor, configuration, members, appliedIndex, role, ...rest } = value;
  return {
    ...rest,
    descriptor: decodeDescriptor(descriptor),
    configuration: decodeConfiguration(configuration),
    matches: members.map(({ node, matchIndex }) => ({ node, match: matchIndex })),
    applied: appliedIndex,
    role: oneOf(REPLICA_ROLES, role, 'role of a replica'),
  };
}

function doneMessage({ id, result }: OrderReport): OrderDone {
  if (result.outcome === 'done') return { order: id, code: '', message: '', again: false, leader: 0 };
  const { code, message, again, leader } = result;
  return { order: id, code, message, again, leader };
}

function done({ order, code, message, again, leader }: OrderDone): OrderReport {
  return { id: order, result: code === '' ? { outcome: 'done' } : { outcome: 'refused', code, message, again, leader } };
}

function orderMessage(order: Order): OrderMessage['order'] {
  switch (order.type) {
    case 'create-replica':
      return { $case: 'create', value: { descriptor: encodeDescriptor(order.descriptor), voters: [...order.voters] } };
    case 'destroy-replica':
      return { $case: 'destroy', value: { shard: order.shard } };
    case 'change-members':
      return { $case: 'change', value: { shard: order.shard, change: Buffer.from(encodeConfigurationChange(order.change)) } };
    case 'transfer':
      return { $case: 'transfer', value: { shard: order.shard, to: order.to } };
    case 'split': {
      const { shard, epoch, child, at } = order;
      return { $case: 'split', value: { shard, epoch, child, place: placeMessage(at) } };
    }
    case 'seal':
    case 'unseal':
      return { $case: order.type, value: order.shard };
    case 'retire':
      return { $case: 'retire', value: { shard: order.shard, into: order.into } };
    case 'absorb':
      return { $case: 'absorb', value: { shard: order.shard, source: encodeDescriptor(order.source), commit: order.commit } };
    case 'forget':
      return { $case: 'forget', value: { shard: order.shard, source: encodeDescriptor(order.source) } };
    case 'describe':
      return { $case: 'describe', value: encodeDescriptor(order.descriptor) };
  }
}

function placeMessage(at: SplitPlace): { $case: 'key'; value: Buffer } | { $case: 'middle' | 'hash'; value: boolean } {
  return at.kind === 'key' ? { $case: 'key', value: Buffer.from(at.key) } : { $case: at.kind, value: true };
}

function orderOf({ order }: OrderMessage): Order | undefined {
  switch (order?.$case) {
    case 'create':
      return { type: 'create-replica', descriptor: decodeDescriptor(order.value.descriptor), voters: order.value.voters };
    case 'destroy':
      return { type: 'destroy-replica', shard: order.value.shard };
    case 'change':
      return { type: 'change-members', shard: order.value.shard, change: decodeConfigurationChange(order.value.change) };
    case 'transfer':
      return { type: 'transfer', ...order.value };
    case 'split': {
      const { shard, epoch, child, place } = order.value;
      if (place === undefined) throw invalid('a split does not say where');
      return { type: 'split', shard, epoch, child, at: place.$case === 'key' ? { kind: 'key', key: place.value } : { kind: place.$case } };
    }
    case 'seal':
    case 'unseal':
      return { type: order.$case, shard: order.value };
    case 'retire':
      return { type: 'retire', ...order.value };
    case 'absorb':
      return { type: 'absorb', shard: order.value.shard, source: decodeDescriptor(order.value.source), commit: order.value.commit };
    case 'forget':
      return { type: 'forget', shard: order.value.shard, source: decodeDescriptor(order.value.source) };
    case 'describe':
      return { type: 'describe', descriptor: decodeDescriptor(order.value) };
    case undefined:
      return undefined;
  }
}

function oneOf<T extends string>(known: readonly T[], value: string, what: string): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw invalid(`${what} is one of ${known.join(', ')}, not '${value}'`);
  return found;
}

function invalid(message: string): SparrowError {
  return new SparrowError('invalid', 'ATTEND', `Attend: ${message}`, { applied: false });
}
