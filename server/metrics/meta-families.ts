/** What the metaserver knows, decides and orders, on the node that leads it; on the others only that they do not. */
import type { MetaLead } from '../meta/lead.ts';
import { stateOf } from '../meta/node.ts';
import type { ClusterState } from '../meta/state.ts';
import { type Family, family, labelled } from './exposition.ts';

const NODE_STATES = ['up', 'suspect', 'down', 'draining', 'drained', 'removed'] as const;

export interface MetaFigures {
  /** Undefined: this node does not lead the metaserver. */
  readonly lead: MetaLead | undefined;
  readonly leadsBegun: number;
  /** Whether this node attends whoever leads. */
  readonly attending: boolean;
}

export function metaFamilies({ lead, leadsBegun, attending }: MetaFigures): Family[] {
  const own = [
    family('sparrowkv_meta_leads', 'Whether this node leads the metaserver.', Number(lead?.state !== undefined)),
    family('sparrowkv_meta_leads_begun_total', 'How often it came to.', leadsBegun),
    family('sparrowkv_meta_attending', 'Whether this node reports to the leader of the metaserver and gets orders.', Number(attending)),
  ];
  const state = lead?.state;
  return lead === undefined || state === undefined ? own : [...own, ...clusterFamilies(state), ...workFamilies(lead, state)];
}

function clusterFamilies(state: ClusterState): Family[] {
  const nodes = [...state.nodes.values()].map(stateOf);
  const shards = [...state.shards.values()];
  return [
    labelled(
      'sparrowkv_meta_nodes',
      'Nodes by state.',
      NODE_STATES.map((name) => ({ labels: { state: name }, value: nodes.filter((each) => each === name).length })),
    ),
    family(
      'sparrowkv_meta_tables',
      'Tables that were not dropped.',
      [...state.tables.values()].filter(({ droppedAtMs }) => droppedAtMs === 0).length,
    ),
    family('sparrowkv_meta_shards', 'Shards of all tables.', shards.length),
    family('sparrowkv_meta_shards_leaderless', 'Shards that nobody is known to lead.', shards.filter(({ leader }) => leader === 0).length),
    family(
      'sparrowkv_meta_shards_by_hand',
      'Shards whose members were changed by hand, and that are left as they are.',
      shards.filter(({ record }) => record.byHand).length,
    ),
    family('sparrowkv_meta_version', 'Version of the topology.', state.counters.version),
  ];
}

function workFamilies({ counts, operatorsEnded }: MetaLead, state: ClusterState): Family[] {
  const kinds = new Map<string, number>();
  for (const { kind } of state.running.values()) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  return [
    labelled(
      'sparrowkv_meta_operators',
      'Operators under way, by kind.',
      [...kinds].map(([kind, value]) => ({ labels: { kind }, value })),
    ),
    labelled(
      'sparrowkv_meta_operators_ended_total',
      'Operators that came to an end in this lead, by how.',
      [...operatorsEnded].map(([how, value]) => ({ labels: { how }, value })),
    ),
    family('sparrowkv_meta_reports_total', 'Reports of nodes, in this lead as all that follow.', counts.reports),
    family('sparrowkv_meta_orders_total', 'Orders given, repeated ones included.', counts.orders),
    family('sparrowkv_meta_orders_done_total', 'Orders that nodes say are done.', counts.ordersDone),
    family('sparrowkv_meta_orders_refused_total', 'Orders that nodes refused, most of them for a moment.', counts.ordersRefused),
    family('sparrowkv_meta_changes_total', 'Changes of the topology that were written.', counts.changes),
    family('sparrowkv_meta_rounds_total', 'Rounds of decisions.', counts.rounds),
    family('sparrowkv_meta_decision_seconds', 'How long the last decision took.', counts.decisionMs / 1000),
    family('sparrowkv_meta_decision_seconds_max', 'How long the longest one took.', counts.decisionMsMax / 1000),
  ];
}
