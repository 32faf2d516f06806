/** What is counted of the way to other nodes. */
import type { PeerStats, TransportStats } from '../transport/index.ts';
import { type Family, family, labelled, type Sample } from './exposition.ts';

export function peerFamilies({ peers, droppedNoPeer }: TransportStats): Family[] {
  const each = (value: (peer: PeerStats) => number): Sample[] =>
    peers.map((peer) => ({ labels: { peer: String(peer.peer) }, value: value(peer) }));
  const dropped = peers.flatMap((peer) =>
    Object.entries(peer.dropped).map(([reason, value]): Sample => ({ labels: { peer: String(peer.peer), reason }, value })),
  );
  return [
    labelled(
      'sparrowkv_peer_reachable',
      'Whether messages to the node would leave.',
      each(({ reachable }) => Number(reachable)),
    ),
    labelled(
      'sparrowkv_peer_heard',
      'Whether messages from the node would arrive.',
      each(({ heard }) => Number(heard)),
    ),
    labelled(
      'sparrowkv_peer_reconnects_total',
      'Streams from the node that were opened again.',
      each(({ reconnects }) => reconnects),
    ),
    labelled(
      'sparrowkv_peer_sent_bytes_total',
      'Bytes of packets sent.',
      each(({ sent }) => sent.bytes),
    ),
    labelled(
      'sparrowkv_peer_sent_messages_total',
      'Messages in them.',
      each(({ sent }) => sent.messages),
    ),
    labelled(
      'sparrowkv_peer_sent_packets_total',
      'Packets sent.',
      each(({ sent }) => sent.packets),
    ),
    labelled(
      'sparrowkv_peer_received_bytes_total',
      'Bytes of packets received.',
      each(({ received }) => received.bytes),
    ),
    labelled(
      'sparrowkv_peer_received_messages_total',
      'Messages in them.',
      each(({ received }) => received.messages),
    ),
    labelled(
      'sparrowkv_peer_received_packets_total',
      'Packets received.',
      each(({ received }) => received.packets),
    ),
    labelled(
      'sparrowkv_peer_queued_bytes',
      'Bytes that wait for the node, about.',
      each(({ queuedBytes }) => queuedBytes),
    ),
    labelled(
      'sparrowkv_peer_queued_messages',
      'Messages that wait for the node.',
      each(({ queuedMessages }) => queuedMessages),
    ),
    labelled('sparrowkv_peer_dropped_messages_total', 'Messages that were not sent, by why.', dropped),
    family('sparrowkv_peer_unknown_messages_total', 'Messages to nodes that are no peers.', droppedNoPeer),
    labelled(
      'sparrowkv_peer_snapshot_sent_bytes_total',
      'Bytes of snapshots sent.',
      each(({ snapshotBytesSent }) => snapshotBytesSent),
    ),
    labelled(
      'sparrowkv_peer_snapshot_received_bytes_total',
      'Bytes of snapshots received.',
      each(({ snapshotBytesReceived }) => snapshotBytesReceived),
    ),
  ];
}
