/** What the gateway counts. */
import type { CallCounter } from '../gateway/index.ts';
import { byLabel, type Family, family, labelled, type Sample } from './exposition.ts';

export interface GatewayFigures {
  readonly calls: CallCounter;
  readonly connections: { readonly count: number; readonly bytesReceived: number; readonly bytesSent: number };
  readonly sessions: number;
  readonly intake: { readonly receiving: number; readonly waiting: number; readonly overloaded: number; readonly slow: number };
}

export function gatewayFamilies({ calls, connections, sessions, intake }: GatewayFigures): Family[] {
  const ended = [...calls.methods].flatMap(([method, { answered, refused }]): Sample[] => [
    { labels: { method, outcome: 'answered' }, value: answered },
    ...[...refused].map(([kind, value]) => ({ labels: { method, outcome: kind }, value })),
  ]);
  return [
    labelled('sparrowkv_gateway_calls_total', 'Calls that have ended, by what the client got: an answer, or an error of this kind.', ended),
    family('sparrowkv_gateway_calls_in_flight', 'Calls that are being worked on.', calls.callsInFlight),
    family('sparrowkv_gateway_connections', 'Open connections of clients.', connections.count),
    family('sparrowkv_gateway_sessions', 'Open sessions.', sessions),
    family('sparrowkv_gateway_received_bytes_total', 'Bytes received from clients.', connections.bytesReceived),
    family('sparrowkv_gateway_sent_bytes_total', 'Bytes sent to clients.', connections.bytesSent),
    family('sparrowkv_gateway_writes_receiving', 'Plain writes that are being received.', intake.receiving),
    family('sparrowkv_gateway_writes_waiting', 'Plain writes that wait to be received.', intake.waiting),
    byLabel('sparrowkv_gateway_writes_not_received_total', 'Plain writes that were refused before they were received.', 'reason', {
      overloaded: intake.overloaded,
      slow: intake.slow,
    }),
  ];
}

/** Of tables with quotas. */
export function quotaFamily({ delayed, refused }: { readonly delayed: number; readonly refused: number }): Family {
  return byLabel('sparrowkv_gateway_quota_calls_total', "Calls that a table's quota held up, by what became of them.", 'outcome', {
    delayed,
    refused,
  });
}
