/**
 * Asks whether a node is where it is said to be, and in which life: opens a stream as snapshot-fetch.ts does, which takes no other one's place, and closes it after
 * the greeting. A node that refuses because it does not know this one yet is the right one all the same.
 */
import { SparrowError } from '../../../base/errors.ts';
import { checkGreeting, decodeGreeting, encodeGreeting, greetingTo } from '../greeting.ts';
import { errorOfStatus, PeerClient } from './peer-service.ts';
import { channelOptions, type Common } from './transport-options.ts';

/** Settles with the node's incarnation, undefined where it does not tell. Rejects with `unavailable/NODE_UNREACHABLE`, and with what greetings are refused for: `invalid/` OTHER_NODE, OTHER_CLUSTER, FORMAT_NEWER ... */
export async function probePeer(
  { identity, settings, parts }: Common,
  peer: number,
  address: string,
  timeoutMs: number,
): Promise<bigint | undefined> {
  const client = new PeerClient(address, parts.channelCredentials, channelOptions(settings));
  const stream = client.snapshot();
  try {
    return await new Promise<bigint | undefined>((resolve, reject) => {
      const timer = parts.scheduler.after(timeoutMs, () => reject(unreachable(peer, address, `no answer within ${timeoutMs} ms`)));
      stream.on('data', (bytes: Buffer) => {
        try {
          const greeting = decodeGreeting(bytes, parts.hash);
          checkGreeting(greeting, identity, peer);
          resolve(greeting.incarnation);
        } catch (error) {
          reject(error as SparrowError);
        }
        timer.cancel();
      });
      // The status says what the error says.
      stream.on('error', () => undefined);
      stream.on('status', (status) => {
        timer.cancel();
        const error = errorOfStatus(status);
        if (error.code === 'NOT_A_PEER') resolve(undefined);
        else reject(error.kind === 'invalid' ? error : unreachable(peer, address, error.message));
      });
      stream.write(encodeGreeting(greetingTo(peer, identity), parts.hash));
    });
  } finally {
    stream.cancel();
    client.close();
  }
}

function unreachable(node: number, address: string, why: string): SparrowError {
  return new SparrowError('unavailable', 'NODE_UNREACHABLE', `node ${node} cannot be reached at ${address}: ${why}`, {
    node,
    address,
    applied: false,
  });
}
