/**
 * Whether an address can be listened on, asked before anything else is done: a server that cannot have it must not have made a directory, replayed
 * a log and taken a term before it says so. Somebody else may still take the address in between; then the start fails as late as ever.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { SparrowError } from '../base/errors.ts';

/** `unavailable/LISTEN` when it cannot. Port 0 can always be had. */
export async function assertFree({ host, port }: { host: string; port: number }, listen: string): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  try {
    probe.listen({ host, port, exclusive: true });
    await once(probe, 'listening');
  } catch (error) {
    throw new SparrowError('unavailable', 'LISTEN', `cannot listen on ${listen}: ${(error as Error).message}`, { listen }, error);
  }
  probe.close();
  await once(probe, 'close');
}
