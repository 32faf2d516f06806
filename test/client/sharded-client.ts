/** A client of a scripted cluster of shards, on its virtual time. */
import type { ConnectOptions, Entry } from '../../client/api.ts';
import { CallRunner } from '../../client/call-runner.ts';
import { resolveConnectOptions } from '../../client/connect-options.ts';
import { OwnedBytes } from '../../client/owned-bytes.ts';
import { RequestIds } from '../../client/request-ids.ts';
import { TableVerbs } from '../../client/verbs.ts';
import { textOf } from './scripted-shard.ts';
import type { ShardedCluster } from './scripted-shards.ts';

export class ShardedClient {
  readonly cluster: ShardedCluster;
  readonly calls: CallRunner;
  readonly #parts: ConstructorParameters<typeof TableVerbs>[0];
  readonly closing: AbortController = new AbortController();

  constructor(cluster: ShardedCluster, options: ConnectOptions = {}, name = 1) {
    this.cluster = cluster;
    const settings = resolveConnectOptions(options);
    const ids = new RequestIds(new Uint8Array(16).fill(name));
    this.calls = new CallRunner([cluster.addresses[0]!], settings, ids, cluster.surroundings());
    this.#parts = { settings, ids, calls: this.calls, owned: new OwnedBytes(), closed: this.closing.signal };
  }

  /** Undefined: table `default`, as `Client` has it. */
  table(name?: string): TableVerbs {
    return new TableVerbs(this.#parts, name === undefined ? undefined : this.calls.table(name));
  }

  /** Runs virtual time until the promise settles. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.cluster.scheduler.until(promise);
  }

  /** All entries of a scan, as text. */
  async collect(entries: AsyncIterable<Entry>, each: (count: number) => void = () => undefined): Promise<[string, string][]> {
    const found: [string, string][] = [];
    const all = async (): Promise<void> => {
      for await (const [key, value] of entries) {
        found.push([textOf(key), textOf(value)]);
        each(found.length);
      }
    };
    await this.run(all());
    return found;
  }
}
