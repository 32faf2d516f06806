/**
 * The keyspaces of an engine: hands out one object for each, and has new ones and new settings recorded in the manifest before anyone can
 * write to them. What there is, is in the version (manifest/version.ts); internal keys are in keyspace-key.ts.
 */
import type { Zstd } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import type { KeepRule, Keyspace, WriteOptions } from './api.ts';
import { planRangeDelete } from './batch-plan.ts';
import { shownKeepRule, storedKeepRule } from './keep-rule.ts';
import { KEYSPACE_ID_MAX, keyspaceBegin, keyspaceEnd } from './keyspace-key.ts';
import {
  assertWritable,
  checkKeyspaceName,
  sameSettings,
  shownSettings,
  type StoredSettings,
  storedSettings,
} from './keyspace-settings.ts';
import { type KeyValueParts, StoredKeyValues } from './key-values.ts';
import type { KeyspaceSettings } from './keyspaces-api.ts';
import type { Maintenance } from './maintenance/index.ts';
import { checkOptions } from './keys.ts';
import { OpenKeyspace } from './open-keyspace.ts';

const DROP_OPTIONS: readonly string[] = ['sequence'];

export class Keyspaces {
  readonly #parts: KeyValueParts;
  readonly #maintenance: Maintenance;
  readonly #zstd: Zstd | undefined;
  /** By id. */
  readonly #opened = new Map<number, SparrowKeyspace>();
  /** Of a hosted engine: by name, those of which the entries are being flushed away. */
  readonly #dropping = new Map<string, Promise<void>>();
  /** Set once the engine is being closed. */
  #refusal: (() => SparrowError) | undefined;

  constructor(parts: KeyValueParts, maintenance: Maintenance, zstd: Zstd | undefined) {
    this.#parts = parts;
    this.#maintenance = maintenance;
    this.#zstd = zstd;
  }

  get count(): number {
    return this.#maintenance.version.keyspaces.size;
  }

  get names(): string[] {
    return [...this.#maintenance.version.keyspaces.values()].map(({ name }) => name);
  }

  /** The keyspace of that name, made when it is not there. */
  async open(name: string, given: KeyspaceSettings | undefined): Promise<Keyspace> {
    checkKeyspaceName(name);
    const settings = given && storedSettings(given);
    if (settings) assertWritable({ name, settings }, this.#zstd);
    for (;;) {
      await this.#dropping.get(name)?.catch(() => undefined);
      const id = this.#record(name, settings);
      // Another call may have recorded it, and it may not be on disk yet. An engine that has stopped writing still gives what there is, to read.
      if (settings !== undefined || this.#maintenance.failure === undefined) await this.#maintenance.recorded();
      // It may have been dropped meanwhile.
      if (this.#maintenance.version.keyspaces.has(id)) return this.#keyspaceOf(id, name);
    }
  }

  /** What an operation's `keyspace` stands for. `invalid/KEYSPACE_FOREIGN` when it is no keyspace of this engine. */
  openOf(keyspace: Keyspace): OpenKeyspace {
    if (!(keyspace instanceof SparrowKeyspace)) throw foreign();
    keyspace.open.assertOpen();
    if (this.#opened.get(keyspace.open.id) !== keyspace) throw foreign();
    return keyspace.open;
  }

  /**
   * Deletes what is in the keyspace, then the keyspace. The edit goes to the manifest only when the log with the range delete is on disk
   * (maintenance/versions.ts): after a crash in between, the keyspace is there and empty, but never gone with its entries left.
   */
  async #drop(keyspace: SparrowKeyspace, sequence: number | undefined): Promise<void> {
    const { open, name } = keyspace;
    open.assertOpen();
    const whole = { start: keyspaceBegin(open.id), end: keyspaceEnd(open.id) };
    const written = this.#parts.writer.batch(planRangeDelete(open, whole), 'buffered', sequence);
    open.drop(() => new SparrowError('closed', 'KEYSPACE_DROPPED', `keyspace '${name}' has been dropped`, { keyspace: name }));
    this.#opened.delete(open.id);
    if (this.#parts.isHosted) await this.#flushDropped(name);
    this.#maintenance.record({ keyspacesDropped: [open.id] });
    await Promise.all([written, this.#maintenance.recorded()]);
  }

  /**
   * There is no log for the range delete: it must be in the manifest first. Who asks for the keyspace meanwhile waits, or would be given one that is
   * about to go.
   */
  async #flushDropped(name: string): Promise<void> {
    const flushed = this.#maintenance.flush();
    this.#dropping.set(name, flushed);
    try {
      await flushed;
    } finally {
      this.#dropping.delete(name);
    }
  }

  #ruleOf(id: number): KeepRule | undefined {
    const rule = this.#maintenance.version.keyspaces.get(id)?.rule;
    return rule && shownKeepRule(rule);
  }

  async #keepOnly({ id }: OpenKeyspace, rule: KeepRule | undefined): Promise<void> {
    this.#maintenance.setRule(id, rule && ((ruleId) => storedKeepRule(rule, ruleId)));
    await this.#maintenance.recorded();
  }

  /** Every later use of any is refused. */
  close(refusal: () => SparrowError): void {
    this.#refusal = refusal;
    for (const { open } of this.#opened.values()) open.close(refusal);
  }

  /** Sees to it that the version has the keyspace, with these settings. Returns its id. */
  #record(name: string, settings: StoredSettings | undefined): number {
    if (this.#refusal) throw this.#refusal();
    const { version } = this.#maintenance;
    for (const [id, known] of version.keyspaces) {
      if (known.name !== name) continue;
      if (settings !== undefined && !sameSettings(known.settings, settings)) {
        this.#maintenance.record({ keyspacesAltered: [{ id, settings }] });
        this.#opened.get(id)?.open.alter(settings, this.#parts.settings);
      }
      return id;
    }
    const id = version.nextKeyspaceId;
    if (id > KEYSPACE_ID_MAX) {
      throw new SparrowError('exhausted', 'KEYSPACES', `${KEYSPACE_ID_MAX} keyspaces have been made in this store, which is the limit`, {
        limit: KEYSPACE_ID_MAX,
      });
    }
    this.#maintenance.record({ keyspacesAdded: [{ id, name, settings: settings ?? {} }] });
    return id;
  }

  #keyspaceOf(id: number, name: string): SparrowKeyspace {
    let keyspace = this.#opened.get(id);
    if (keyspace === undefined) {
      const settingsOf = (): StoredSettings => this.#maintenance.version.keyspaces.get(id)?.settings ?? {};
      const open = new OpenKeyspace(id, settingsOf(), this.#parts.settings);
      keyspace = new SparrowKeyspace(this.#parts, {
        open,
        name,
        settings: settingsOf,
        kept: () => this.#ruleOf(id),
        keepOnly: (rule) => this.#keepOnly(open, rule),
        drop: (each, sequence) => this.#drop(each, sequence),
      });
      this.#opened.set(id, keyspace);
    }
    return keyspace;
  }
}

interface KeyspaceParts {
  readonly open: OpenKeyspace;
  readonly name: string;
  readonly settings: () => StoredSettings;
  readonly kept: () => KeepRule | undefined;
  readonly keepOnly: (rule: KeepRule | undefined) => Promise<void>;
  readonly drop: (keyspace: SparrowKeyspace, sequence: number | undefined) => Promise<void>;
}

class SparrowKeyspace extends StoredKeyValues implements Keyspace {
  readonly name: string;
  readonly open: OpenKeyspace;
  readonly #own: KeyspaceParts;

  constructor(parts: KeyValueParts, own: KeyspaceParts) {
    super(parts, own.open);
    this.name = own.name;
    this.open = own.open;
    this.#own = own;
  }

  get settings(): Readonly<KeyspaceSettings> {
    return shownSettings(this.#own.settings());
  }

  get kept(): Readonly<KeepRule> | undefined {
    return this.#own.kept();
  }

  async keepOnly(rule: KeepRule | undefined): Promise<void> {
    this.open.assertOpen();
    await this.#own.keepOnly(rule);
  }

  async drop(options?: Pick<WriteOptions, 'sequence'>): Promise<void> {
    checkOptions(options, DROP_OPTIONS);
    await this.#own.drop(this, options?.sequence);
  }
}

function foreign(): SparrowError {
  return new SparrowError('invalid', 'KEYSPACE_FOREIGN', 'keyspace is not one of this engine', { field: 'keyspace' });
}
