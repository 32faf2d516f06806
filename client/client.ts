/** The SDK's client: the verbs of table `default` (verbs.ts), the way to other tables, and what concerns the whole connection. */
import { randomBytes } from 'node:crypto';

import type { CallOptions, Client, Limits, ServerStatus, Table, Tables } from './api.ts';
import { checkCallOptions, checkTableName } from './arguments.ts';
import { CallRunner } from './call-runner.ts';
import type { Settings } from './connect-options.ts';
import type { Connection } from './connection.ts';
import { STATUS } from './methods.ts';
import { OwnedBytes } from './owned-bytes.ts';
import { RequestIds } from './request-ids.ts';
import { clientClosed } from './settled-errors.ts';
import { realSurroundings } from './surroundings.ts';
import { ClientTables } from './tables.ts';
import { SparrowTable, TableVerbs, type VerbParts } from './verbs.ts';
import { Wait } from './wait.ts';

/** What a server takes when it does not tell. */
const DEFAULT_LIMITS: Limits = { keyBytesMax: 4_000, valueBytesMax: 16 * 1024 * 1024, writeBytesMax: 32 * 1024 * 1024 };

export class SparrowClient extends TableVerbs implements Client {
  readonly tables: Tables;
  readonly #settings: Settings;
  readonly #calls: CallRunner;
  readonly #parts: VerbParts;
  readonly #closing: AbortController;

  constructor(addresses: readonly string[], settings: Settings) {
    const closing = new AbortController();
    const ids = new RequestIds(randomBytes(16));
    const calls = new CallRunner(addresses, settings, ids, realSurroundings(settings));
    const parts: VerbParts = { settings, ids, calls, owned: new OwnedBytes(), closed: closing.signal };
    super(parts, undefined);
    this.#settings = settings;
    this.#calls = calls;
    this.#parts = parts;
    this.#closing = closing;
    this.tables = new ClientTables(calls, settings);
  }

  table(name: string): Table {
    return new SparrowTable(checkTableName(name), this.#parts);
  }

  async status(options?: CallOptions): Promise<ServerStatus> {
    checkCallOptions(options);
    return this.#calls.run(STATUS, {}, 0, options);
  }

  async limits(options?: CallOptions): Promise<Limits> {
    checkCallOptions(options);
    const wait = new Wait('limits', options?.timeoutMs ?? this.#settings.timeoutMs, options?.signal, this.#closing.signal);
    wait.begin();
    let leave: (() => void) | undefined;
    const connected = new Promise<Connection>((resolve, reject) => {
      leave = this.#calls.visit({ anyNode: true, connected: resolve, failed: reject });
    });
    const { greeting } = await wait.for(connected).finally(() => leave?.());
    if (greeting === undefined) return DEFAULT_LIMITS;
    const { keyBytesMax, valueBytesMax, writeBytesMax } = greeting;
    return { keyBytesMax, valueBytesMax, writeBytesMax };
  }

  close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort(clientClosed());
      this.#calls.close();
    }
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
