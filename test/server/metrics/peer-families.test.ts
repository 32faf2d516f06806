import { expect, it } from 'vitest';
import { render } from '../../../server/metrics/exposition.ts';
import { peerFamilies } from '../../../server/metrics/index.ts';
import { heartbeat, pair, until } from '../transport/nodes.ts';

it('what is counted of the way to each node is shown, by node', async () => {
  const [one, two] = await pair();
  await using _ = one;
  await using __ = two;
  one.transport.send(2, [heartbeat(1, 2, 1), heartbeat(1, 2, 2)]);
  one.transport.send(9, [heartbeat(1, 9, 1)]);
  await until(() => two.received.length === 2 && one.transport.stats().peers[0]!.sent.messages === 2);
  const text = render(peerFamilies(one.transport.stats()));
  const { sent } = one.transport.stats().peers[0]!;
  for (const line of [
    'sparrowkv_peer_reachable{peer="2"} 1',
    'sparrowkv_peer_heard{peer="2"} 1',
    'sparrowkv_peer_reconnects_total{peer="2"} 0',
    `sparrowkv_peer_sent_bytes_total{peer="2"} ${sent.bytes}`,
    'sparrowkv_peer_sent_messages_total{peer="2"} 2',
    'sparrowkv_peer_sent_packets_total{peer="2"} 1',
    'sparrowkv_peer_queued_bytes{peer="2"} 0',
    'sparrowkv_peer_dropped_messages_total{peer="2",reason="entries"} 0',
    'sparrowkv_peer_unknown_messages_total 1',
    'sparrowkv_peer_snapshot_sent_bytes_total{peer="2"} 0',
  ]) {
    expect(text.split('\n')).toContain(line);
  }
  expect(render(peerFamilies(two.transport.stats()))).toContain('sparrowkv_peer_received_messages_total{peer="1"} 2');
});
