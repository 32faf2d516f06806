/** A node in a process of its own: node peer-process.ts ID LISTEN PEER PEER-ADDRESS. Prints its address, and answers every heartbeat with one of the same round. */
import type { GroupMessage } from '../../../server/transport/index.ts';
import { heartbeat, node } from './nodes.ts';

const [id, listen, peer, address] = process.argv.slice(2) as [string, string, string, string];
const { transport } = await node(Number(id), {}, { listen });
transport.onMessages((from, messages) => {
  const answers = messages.flatMap(({ group, message }): GroupMessage[] =>
    message.type === 'heartbeat-request' ? [heartbeat(Number(id), from, message.round, group)] : [],
  );
  transport.send(from, answers);
});
transport.addPeer(Number(peer), address);
process.stdout.write(`${transport.address}\n`);
