/** The way in to the SDK. */
import type { Client, ConnectOptions } from './api.ts';
import { SparrowClient } from './client.ts';
import { resolveAddresses, resolveConnectOptions } from './connect-options.ts';

/**
 * A client of the server at `addresses`: HOST:PORT, or several of one cluster, in any order. One that can be reached is enough: it tells the
 * others where it knows them. Calls go to the node that leads, and to the next one that does when it fails.
 *
 * Returns at once; the connection is made by the first call and made again whenever it breaks. One client serves any number of concurrent
 * calls and is meant to be kept for the life of the program.
 *
 * ```ts
 * await using client = connect('127.0.0.1:7400');
 * await client.put('greeting', 'hello');
 * const value = await client.get('greeting');            // a Uint8Array, or undefined
 *
 * const entry = await client.getEntry('counter');        // { value, version }
 * const batch = client.batch().put('counter', '2').put('log/7', 'counted');
 * if (entry) batch.ifVersion('counter', entry.version);
 * else batch.ifAbsent('counter');
 * await client.write(batch);                             // throws a ConditionFailedError if someone was faster
 *
 * for await (const [key, value] of client.scan({ prefix: 'log/', limit: 10 })) console.log(key, value);
 * ```
 *
 * Throws `invalid` errors for wrong arguments; never connects in vain for them.
 */
export function connect(addresses: string | readonly string[], options: ConnectOptions = {}): Client {
  return new SparrowClient(resolveAddresses(addresses), resolveConnectOptions(options));
}
