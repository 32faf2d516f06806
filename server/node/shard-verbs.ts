/**
 * What is done to shards by order of the metaserver, one verb a step, each on the leader of the group that it is about, and each to be repeated by whoever does not know
 * whether it was done:
 *
 *   split    prepare -> split                                                                       cancelled by `resume` before the split
 *   merge    seal the source -> import into the target -> retire the source -> commit in the target -> the source is destroyed
 *            cancelled before the source is retired: `resume` the source, `cancelImport` in the target
 *
 * The epoch is that of the shard before the step: one that was done already is told by the descriptor, and is a success. The steps of a merge go together by the index of
 * the SEAL: a source that was written meanwhile has another one.
 *
 * What is imported is read on the node of the target's leader, which must have a replica of the source.
 *
 * All reject with `conflict/OTHER_EPOCH`, `conflict/SHARD_STATE`, `invalid/SPLIT_KEY`, `conflict/CHANGE_PENDING`, `invalid/NOT_NEIGHBOURS`, `conflict/MERGE_ORDER` or
 * `conflict/OTHER_SESSION` when it cannot be, and otherwise as Replica.propose does. Called by whoever carries out orders. Calls replica.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { ShardDescriptor, ShardSettings } from '../shard/descriptor.ts';
import type { CallState } from './call-state.ts';
import { encodeWrite } from './command-codec.ts';
import { engineRange } from './keys.ts';
import type { Replica } from './replica.ts';
import { floorOf, RECORD_PREFIX, rememberedWrites, RequestTable } from './request-table.ts';
import type { ShardRefusal, ShardResult } from './shard-changes.ts';
import {
  encodeShardCommand,
  ENTRY_HEAD_BYTES,
  type ImportedEntry,
  type ImportedRequest,
  REQUEST_HEAD_BYTES,
  type ShardCommand,
  type SplitAt,
} from './shard-commands.ts';

type Done = Extract<ShardResult, { outcome: 'shard' }>;

export interface Imported {
  /** Index of its BEGIN_IMPORT, which `commitMerge` is given. */
  readonly session: number;
  readonly entries: number;
  readonly bytes: number;
}

const PREPARE_ROUNDS = 2;
/** An import goes into the log in entries of about so many bytes. */
const IMPORT_BYTES: number = 256 * 1024;
const LENGTHENED_AT_ONCE = 1000;

/**
 * Splits a shard of this epoch: `child` has the keys from `at` on, or with one more bit of the hash. Resolves with what both are now; `child` undefined: it was split
 * before, and its replicas know.
 */
export async function splitShard(
  replica: Replica,
  { epoch, child, at }: { readonly epoch: number; readonly child: number; readonly at: SplitAt },
  call: CallState,
): Promise<{ parent: ShardDescriptor; child: ShardDescriptor | undefined }> {
  try {
    // What is in memory would have to be flushed while the shard answers nobody; again, for what came during the first time, and for members that are slower.
    for (let round = 0; round < PREPARE_ROUNDS; round++) {
      await change(replica, { kind: 'prepare-split', epoch, child, at }, call);
      await replica.flush();
    }
    const { descriptor, child: made } = await change(replica, { kind: 'split', epoch, child, at }, call);
    return { parent: descriptor, child: made };
  } catch (error) {
    const { descriptor } = replica.shard;
    if (!(error instanceof SparrowError) || error.code !== 'OTHER_EPOCH' || !isSplit(descriptor, epoch, at)) throw error;
    return { parent: descriptor, child: undefined };
  }
}

/** Nothing is written from here on. Resolves with the index that the other steps are given. */
export async function sealShard(source: Replica, epoch: number, call: CallState): Promise<number> {
  return (await change(source, { kind: 'seal', epoch }, call)).sealed!;
}

/** The settings of its table are these from now on: at once, but `inlineThreshold`, which is in force for replicas that are made later. */
export async function describeShard(replica: Replica, epoch: number, settings: ShardSettings, call: CallState): Promise<void> {
  await change(replica, { kind: 'describe', epoch, settings }, call);
}

/** A shard that is sealed or about to be split goes on as before. */
export async function resumeShard(replica: Replica, epoch: number, call: CallState): Promise<void> {
  await change(replica, { kind: 'resume', epoch }, call);
}

/** A sealed shard is not read any more either: nothing of the merge can be taken back. */
export async function retireShard(source: Replica, epoch: number, sealed: number, call: CallState): Promise<void> {
  await change(source, { kind: 'retire', epoch, sealed }, call);
}

/**
 * Copies what the source has, entries and the memory of writes, to the target, in the place of whatever an attempt before left there; a target whose log is the shorter one makes it longer
 * first. `source`: a replica on the same
 * node as `target`, which leads; it has applied the SEAL of index `sealed`, or `unavailable/SHARD_BEHIND`.
 */
export async function importShard(target: Replica, epoch: number, source: Replica, sealed: number, call: CallState): Promise<Imported> {
  if (source.applied < sealed)
    throw new SparrowError('unavailable', 'SHARD_BEHIND', `the replica of shard ${source.group} has not applied entry ${sealed} yet`, {
      shard: source.group,
    });
  if (source.shard.sealed !== sealed)
    throw refusal('OTHER_SESSION', `shard ${source.group} is not sealed by entry ${sealed} of its log`, source.shard.descriptor);
  const { engine } = source;
  const { descriptor } = source.shard;
  const { keys } = descriptor;
  if (keys.kind === 'hash' && target.shard.importing !== undefined) await cancelImport(target, epoch, call);
  if (target.shard.mixed) throw sweeping(target.group);
  await lengthen(target, sealed, call);
  const { session } = await change(target, { kind: 'begin-import', epoch, sealed, source: { ...descriptor, state: 'sealed' } }, call);
  const copy = new Copy(target, session!, call);
  for (const write of rememberedWrites(engine.scanSync({ prefix: RECORD_PREFIX }))) await copy.request(write);
  const { start, end } = engineRange(keys.kind === 'hash' ? {} : { gte: keys.start, lt: keys.end });
  for await (const [key] of engine.scan({ gte: start, lt: end, keysOnly: true })) {
    const entry = await engine.getEntry(key);
    // It may have expired since.
    if (entry !== undefined) await copy.entry({ key: Uint8Array.from(key), value: entry.value, expiresAtMs: entry.expiresAtMs });
  }
  await copy.end();
  const floor = floorOf(engine.getSync(RequestTable.floorKey));
  await change(target, { kind: 'end-import', session: session!, entries: copy.entries, floor }, call);
  return { session: session!, entries: copy.entries, bytes: copy.bytes };
}

/** Entries of nothing, until the log has that many: versions of what comes next are larger then than any that the source gave. */
async function lengthen(target: Replica, index: number, call: CallState): Promise<void> {
  const nothing = encodeWrite(undefined, [], []);
  for (let lacking = index - target.applied; lacking > 0; lacking = index - target.applied)
    await Promise.all(Array.from({ length: Math.min(lacking, LENGTHENED_AT_ONCE) }, () => target.propose(nothing, call)));
}

/** The source's keys are the target's from now on. The source is retired before. Resolves with what the target is now. */
export async function commitMerge(
  target: Replica,
  epoch: number,
  session: number,
  source: ShardDescriptor,
  call: CallState,
): Promise<ShardDescriptor> {
  try {
    return (await change(target, { kind: 'commit-merge', epoch, session }, call)).descriptor;
  } catch (error) {
    const { descriptor } = target.shard;
    if (!(error instanceof SparrowError) || error.code !== 'OTHER_EPOCH' || descriptor.epoch !== Math.max(epoch, source.epoch) + 1)
      throw error;
    return descriptor;
  }
}

/** What was imported goes; of a hash shard it is swept, and the shard is `splitting` until that is done. */
export async function cancelImport(target: Replica, epoch: number, call: CallState): Promise<void> {
  await change(target, { kind: 'cancel-import', epoch }, call);
}

/** Entries of an import on their way into the log, several at a time. */
class Copy {
  readonly #target: Replica;
  readonly #session: number;
  readonly #call: CallState;
  #requests: ImportedRequest[] = [];
  #entries: ImportedEntry[] = [];
  #waitingBytes = 0;
  #under: Promise<unknown> = Promise.resolve();
  bytes = 0;
  entries = 0;

  constructor(target: Replica, session: number, call: CallState) {
    this.#target = target;
    this.#session = session;
    this.#call = call;
  }

  request(request: ImportedRequest): Promise<void> | undefined {
    this.#requests.push(request);
    return this.#add(REQUEST_HEAD_BYTES + request.client.length + request.result.length);
  }

  entry(entry: ImportedEntry): Promise<void> | undefined {
    this.#entries.push(entry);
    this.entries++;
    return this.#add(ENTRY_HEAD_BYTES + entry.key.length + entry.value.length);
  }

  async end(): Promise<void> {
    if (this.#waitingBytes > 0) await this.#send();
    await this.#under;
  }

  #add(bytes: number): Promise<void> | undefined {
    this.#waitingBytes += bytes;
    this.bytes += bytes;
    return this.#waitingBytes < IMPORT_BYTES ? undefined : this.#send();
  }

  /** One is under way while the next is read. */
  async #send(): Promise<void> {
    const [requests, entries] = [this.#requests, this.#entries];
    this.#requests = [];
    this.#entries = [];
    this.#waitingBytes = 0;
    await this.#under;
    const sent = change(this.#target, { kind: 'import', session: this.#session, requests, entries }, this.#call);
    // Whoever waits for it next is told.
    sent.catch(() => undefined);
    this.#under = sent;
  }
}

async function change(replica: Replica, command: ShardCommand, call: CallState): Promise<Done> {
  const result = await replica.propose(encodeShardCommand(command), call);
  if (result.outcome === 'shard') return result;
  if (result.outcome === 'shard-refused') throw refusal(result.code, result.reason, result.descriptor);
  throw new SparrowError('corrupt', 'SHARD_COMMAND', `a ${command.kind} came to ${result.outcome}`);
}

/** Of a hash shard: what an attempt before left is being swept. */
function sweeping(shard: number): SparrowError {
  const message = `shard ${shard} still has keys of another shard, which are being swept`;
  return new SparrowError('unavailable', 'SHARD_UNSWEPT', message, { shard, applied: false });
}

const INVALID: ReadonlySet<ShardRefusal> = new Set(['SPLIT_KEY', 'NOT_NEIGHBOURS']);

function refusal(code: ShardRefusal, reason: string, { shard, epoch, state }: ShardDescriptor): SparrowError {
  return new SparrowError(INVALID.has(code) ? 'invalid' : 'conflict', code, reason, { shard, epoch, state, applied: false });
}

/** Whether a shard is what is left of it after a split of that epoch. */
function isSplit({ epoch, keys }: ShardDescriptor, before: number, at: SplitAt): boolean {
  if (epoch !== before + 1) return false;
  if (at.how === 'hash') return keys.kind === 'hash';
  return keys.kind === 'range' && keys.end !== undefined && Buffer.compare(keys.end, at.key) === 0;
}
