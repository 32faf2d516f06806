/**
 * Settings of a server: plain data, out of a YAML file and flags (flags win), validated once, frozen, logged at start.
 * An unknown name is an error that says it: a misspelt setting must not silently mean its default.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { SparrowError } from '../base/errors.ts';
import type { EngineSettingsInput } from '../engine/index.ts';
import { parseListen } from './address.ts';
import { type ClusterSettings, NODE_ID_MAX, resolveNode, resolveProxy } from './cluster-settings.ts';

import type { PeerTlsSettings, TlsSettings } from './tls.ts';

const KIB = 1024;
const MIB: number = 1024 * KIB;
const LABELS_MAX = 32;

export interface ServerSettings {
  /** Directory of all data; made when it is not there. */
  readonly data: string;
  /** Where to listen: HOST:PORT, [IPv6]:PORT; port 0: any free one. Default: the node's own address of `cluster`, or 127.0.0.1:7400. */
  readonly listen: string;
  /** This node among those of its cluster, 1 to 4294967295. Needed with `cluster`; otherwise that of the data directory, which in a new one is 1. */
  readonly nodeId?: number | undefined;
  /** The nodes that the cluster begins with, by id; the same on all of them. Not there: this node alone. */
  readonly cluster?: ClusterSettings | undefined;
  /** A member of a running cluster, HOST:PORT for clients; a proxy passes calls on to that cluster. Any other node asks it who the others are, and waits to be taken in. Needs nodeId and peerListen. */
  readonly join?: string | undefined;
  /** Where other nodes are listened to, as `listen`. Default: the node's own peer address of `cluster`; without one nowhere: then no other node can join this one. */
  readonly peerListen?: string | undefined;
  /** Tells clusters apart that begin with the same list. Default empty. */
  readonly clusterName: string;
  /** Fault domain, such as a rack or a site: replicas of a shard are spread over zones. Default `default`. */
  readonly zone: string;
  /** Tables are in one pool, and have replicas on its nodes only. Default `default`. */
  readonly pool: string;
  /**
   * What the node is for: the metaserver, replicas of tables, or all of it, which is the default. `proxy`: it has no data, no id, no `data` directory, and serves
   * clients that know no shards out of the cluster that `join` names. Other nodes do that beside.
   */
  readonly role: 'meta' | 'node' | 'proxy' | 'all';
  /** What else people want to see of a node; names and values of up to 64 letters, digits, `.`, `_`, `-`, 32 of them at most. */
  readonly labels: Readonly<Record<string, string>>;
  /** Of all snapshots that are sent to other nodes, bytes a second together. Default 100 MiB. */
  readonly snapshotBytesPerSecond: number;
  /** What clients meet: not there: no TLS. */
  readonly tls?: TlsSettings | undefined;
  /** Between nodes, the same on all of them; not there: no TLS. */
  readonly peerTls?: PeerTlsSettings | undefined;
  /** Where GET /metrics is answered for Prometheus, HOST:PORT as of `listen`; not there: nowhere. It is plain HTTP without authentication. */
  readonly metricsAddress?: string | undefined;
  /** Default info. */
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Longest key, bytes. Default and maximum 4,000: the engine's own limit is 4,096, some of which the replica needs itself. */
  readonly maxKeyBytes: number;
  /** Longest value, bytes. Default 16 MiB, up to 64 MiB. */
  readonly maxValueBytes: number;
  /** All keys and values of one write, its conditions included, bytes. Default 20 MiB, up to 128 MiB; at least a longest key and value. */
  readonly maxWriteBytes: number;
  /** Operations and conditions of one Write together: each takes time of its own in the thread that serves everybody. Default 50,000. */
  readonly maxWriteOperations: number;
  /** All values that one MultiGet may return, bytes. Default 64 MiB. */
  readonly maxMultiGetBytes: number;
  /** How many keys a MultiGet may ask for. Default 10,000. */
  readonly maxMultiGetKeys: number;
  /** Writes on their way through the log, bytes together; beyond it they wait, and the network with them. Default 64 MiB. */
  readonly writeBytesInFlightMax: number;
  /** Writes that may wait for that; further ones are refused with OVERLOADED. Default 16,384. */
  readonly writesWaitingMax: number;
  /** Plain writes whose requests are being received at a time. Default 32. */
  readonly receivingMax: number;
  /** How many more may wait to be received; further ones are refused with OVERLOADED. Default 8,192. */
  readonly receivesWaitingMax: number;
  /** A request that takes longer than this to arrive is given up, milliseconds. Default 30,000. */
  readonly receiveMsMax: number;
  /** Calls that a connection may have open. Default 2,048. */
  readonly connectionCallsMax: number;
  /** Calls that a session works on at a time. Default 4,096. */
  readonly sessionCallsMax: number;
  /** Answers that a session, and the plain reads of a connection, may have unsent, bytes; beyond it no new calls are taken. Default 4 MiB. */
  readonly sessionAnswerBytesMax: number;
  /** Size of a scan's chunk, bytes. Default 128 KiB. */
  readonly scanChunkBytes: number;
  /** How long a scan waits for a reader that does not read, milliseconds. Default 300,000. */
  readonly scanStallMsMax: number;
  /** Keys that one DeleteRange removes at once. Default 4,096. */
  readonly deleteRangeKeysMax: number;
  readonly raft: {
    /** Default 100. */
    readonly tickMs: number;
    /** Default 10. */
    readonly electionTicks: number;
    /** Default 1. */
    readonly heartbeatTicks: number;
    /**
     * A group in which nothing happens for so many ticks goes to sleep: no heartbeats until something does, or a node of it is lost. A node that vanishes
     * without a word is missed after 3 s then, instead of an election timeout. 0: never. Default 50.
     */
    readonly sleepTicks: number;
    /**
     * Whether the leader answers reads without asking the others, as long as they have promised not to vote for another one: electionTicks * tickMs. The
     * same on all nodes. A node that starts waits as long before it votes. Default false: this trusts clocks.
     */
    readonly leaseReads: boolean;
    /**
     * What the leader takes off that time, milliseconds: for processes that are held up between looking at the clock and answering, and for clocks
     * that differ in speed. Default 250; less than electionTicks * tickMs.
     */
    readonly leaseMarginMs: number;
    /** A log file takes no more writes at this size, bytes. Default 64 MiB. */
    readonly segmentBytes: number;
    /** An engine has writes in memory that the log must keep for it of about so many bytes at most, twice as many where values are large. Default 128 MiB. */
    readonly checkpointBytes: number;
    /** So much stays in the log for members that lag, bytes of writes; one that lags by more gets a snapshot. Default 256 MiB. */
    readonly logKeptBytesMax: number;
    /** Writes that were applied stay in the leader's memory for members that lag, bytes; older ones are read from the log's files. Default 16 MiB. */
    readonly keptBytesMax: number;
    /** Entries that were written last stay in memory, of all groups together, bytes: for disks from which reading them again is slow even through the system's cache. Default 0. */
    readonly logCacheBytes: number;
    /**
     * About how large the log of all groups together may get: beyond it those that hold its oldest part give it up, and members that lag further behind get
     * snapshots. Default 1 GiB.
     */
    readonly logBytesMax: number;
  };
  /** Settings of the engine, checked by it. Its limits follow from those above and cannot be set. */
  readonly engine: Readonly<Record<string, number | string>>;
}

/** What a user gives: only `data` is required, and not even that of a proxy. */
export type ServerSettingsInput = ({ data: string } | { role: 'proxy'; data?: string }) & {
  raft?: Partial<ServerSettings['raft']>;
} & Partial<Omit<ServerSettings, 'data' | 'raft'>>;

/** What the engine is told by `engineOptions`, and which setting of the server says it. */
const ENGINE_FIXED: ReadonlyMap<string, string> = new Map([
  ['durability', 'writes are on disk before they are answered'],
  ['segmentBytes', 'set raft.segmentBytes of the server: the engine has no log of its own'],
  ['callerSyncMs', 'the engine has no log of its own'],
  ['maxKeyBytes', 'set maxKeyBytes of the server'],
  ['maxValueBytes', 'set maxValueBytes of the server'],
  ['maxBatchBytes', 'set maxWriteBytes of the server'],
]);
const VALUE_BYTES_MAX: number = 64 * MIB;
const ENGINE_BATCH_BYTES: number = 64 * MIB;

function whole(min: number, max: number, standard: number): z.ZodDefault<z.ZodNumber> {
  return z.number().int().min(min).max(max).default(standard);
}

/** A name that can stand in tables, metrics and flags as it is. */
function word(): z.ZodString {
  return z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'a name has 1 to 64 letters, digits, dots, underlines and hyphens');
}

const RAFT = z.strictObject({
  tickMs: whole(1, 10_000, 100),
  electionTicks: whole(2, 1000, 10),
  heartbeatTicks: whole(1, 1000, 1),
  sleepTicks: whole(0, 1_000_000, 50),
  leaseReads: z.boolean().default(false),
  leaseMarginMs: whole(1, 600_000, 250),
  segmentBytes: whole(64 * KIB, 1024 * MIB, 64 * MIB),
  checkpointBytes: whole(64 * KIB, 16 * 1024 * MIB, 128 * MIB),
  logKeptBytesMax: whole(0, 1024 * 1024 * MIB, 256 * MIB),
  keptBytesMax: whole(0, 1024 * MIB, 16 * MIB),
  logCacheBytes: whole(0, 1024 * MIB, 0),
  logBytesMax: whole(256 * KIB, 1024 * 1024 * MIB, 1024 * MIB),
});

const NODE = z.strictObject({ address: z.string(), peerAddress: z.string() });

const TLS = z.strictObject({ certificate: z.string(), key: z.string(), clientAuthority: z.string().optional() });
const PEER_TLS = z.strictObject({ certificate: z.string(), key: z.string(), authority: z.string() });

const SCHEMA = z.strictObject({
  data: z.string().min(1),
  listen: z.string().optional(),
  nodeId: z.number().int().min(1).max(NODE_ID_MAX).optional(),
  cluster: z.record(z.string(), NODE).optional(),
  join: z.string().optional(),
  peerListen: z.string().optional(),
  clusterName: z.string().default(''),
  zone: word().default('default'),
  pool: word().default('default'),
  role: z.enum(['meta', 'node', 'proxy', 'all']).default('all'),
  labels: z
    .record(word(), word())
    .refine((labels) => Object.keys(labels).length <= LABELS_MAX, `at most ${LABELS_MAX} labels`)
    .default({}),
  snapshotBytesPerSecond: whole(64 * KIB, 16 * 1024 * MIB, 100 * MIB),
  metricsAddress: z.string().optional(),
  tls: TLS.optional(),
  peerTls: PEER_TLS.optional(),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  maxKeyBytes: whole(1, 4000, 4000),
  maxValueBytes: whole(1, VALUE_BYTES_MAX, 16 * MIB),
  maxWriteBytes: whole(KIB, 128 * MIB, 20 * MIB),
  maxWriteOperations: whole(1, 1_000_000, 50_000),
  maxMultiGetBytes: whole(KIB, 128 * MIB, 64 * MIB),
  maxMultiGetKeys: whole(1, 100_000, 10_000),
  writeBytesInFlightMax: whole(MIB, 1024 * MIB, 64 * MIB),
  writesWaitingMax: whole(1, 1_000_000, 16_384),
  receivingMax: whole(1, 1024, 32),
  receivesWaitingMax: whole(1, 1_000_000, 8192),
  receiveMsMax: whole(100, 3_600_000, 30_000),
  connectionCallsMax: whole(1, 100_000, 2048),
  sessionCallsMax: whole(1, 100_000, 4096),
  sessionAnswerBytesMax: whole(64 * KIB, 256 * MIB, 4 * MIB),
  scanChunkBytes: whole(KIB, 4 * MIB, 128 * KIB),
  scanStallMsMax: whole(100, 3_600_000, 300_000),
  deleteRangeKeysMax: whole(1, 100_000, 4096),
  raft: RAFT.prefault({}),
  engine: z.record(z.string(), z.union([z.number(), z.string()])).default({}),
});

const PARTS: ReadonlyMap<string, { shape: object }> = new Map(Object.entries({ '': SCHEMA, raft: RAFT, tls: TLS, peerTls: PEER_TLS }));

/** What stands for the directory of a proxy, which has none. */
const NO_DATA = '-';

function withoutData(input: ServerSettingsInput): ServerSettingsInput {
  if (input.data === undefined || input.data === NO_DATA) return { ...input, data: NO_DATA } as ServerSettingsInput;
  throw new SparrowError('invalid', 'OPTION_RANGE', 'data: a proxy keeps no data', { field: 'data' });
}

/** Validates settings. Throws `invalid/OPTION_UNKNOWN` or `invalid/OPTION_RANGE`, naming the field. */
export function resolveSettings(input: ServerSettingsInput): ServerSettings {
  const given = withoutUndefined(input);
  const result = SCHEMA.safeParse(given.role === 'proxy' ? withoutData(given) : given);
  if (!result.success) throw settingsError(result.error.issues[0]!);
  const { role } = result.data;
  const settings: ServerSettings = { ...result.data, ...(role === 'proxy' ? resolveProxy(result.data) : resolveNode(result.data)) };
  const least = settings.maxKeyBytes + settings.maxValueBytes;
  if (settings.maxWriteBytes < least) {
    throw new SparrowError('invalid', 'OPTION_RANGE', `maxWriteBytes must be at least maxKeyBytes + maxValueBytes, ${least}`, {
      field: 'maxWriteBytes',
      min: least,
    });
  }
  const { electionTicks, heartbeatTicks } = settings.raft;
  if (heartbeatTicks >= electionTicks) {
    throw new SparrowError('invalid', 'OPTION_RANGE', `raft.heartbeatTicks must be less than raft.electionTicks, ${electionTicks}`, {
      field: 'raft.heartbeatTicks',
      max: electionTicks - 1,
    });
  }
  const { leaseReads, leaseMarginMs, tickMs } = settings.raft;
  if (leaseReads && leaseMarginMs >= electionTicks * tickMs) {
    const max = electionTicks * tickMs - 1;
    const message = `raft.leaseMarginMs must be less than raft.electionTicks * raft.tickMs, ${max + 1}`;
    throw new SparrowError('invalid', 'OPTION_RANGE', message, { field: 'raft.leaseMarginMs', max });
  }
  for (const [name, instead] of ENGINE_FIXED) {
    if (!Object.hasOwn(settings.engine, name)) continue;
    throw new SparrowError('invalid', 'OPTION_UNKNOWN', `engine.${name} cannot be set: ${instead}`, { field: `engine.${name}` });
  }
  if (settings.metricsAddress !== undefined) parseListen(settings.metricsAddress, 'metricsAddress');
  return freezeDeep(settings);
}

/**
 * What the engine is opened with. It must take whatever the log can hold: an entry that it refuses stops the replica, at each start anew.
 * So a value may be as long as any setting allows, whatever it is now. A batch is a write with a byte more for each key (the engine's keys have a
 * prefix, and an operation takes 7 bytes of the message at least), or the keys of a range delete, each with the record of its request id.
 */
export function engineOptions(settings: ServerSettings): EngineSettingsInput {
  const { maxWriteBytes, maxKeyBytes, deleteRangeKeysMax } = settings;
  const writeBytes = maxWriteBytes + Math.ceil((maxWriteBytes + MIB) / 7) + 64 * KIB;
  const deleteRangeBytes = deleteRangeKeysMax * (maxKeyBytes + 1) + 64 * KIB;
  const maxBatchBytes = Math.max(writeBytes, deleteRangeBytes, ENGINE_BATCH_BYTES);
  return { ...settings.engine, maxValueBytes: VALUE_BYTES_MAX, maxBatchBytes };
}

/** The settings of a YAML file, with those of `flags` laid over them. Throws `invalid/CONFIG` for a file that cannot be used. */
export function loadSettings(file: string | undefined, flags: Partial<ServerSettingsInput>): ServerSettings {
  if (file === undefined) return resolveSettings(flags as ServerSettingsInput);
  let parsed: unknown;
  try {
    parsed = parse(readFileSync(file, 'utf8')) ?? {};
  } catch (error) {
    throw new SparrowError('invalid', 'CONFIG', `${file}: ${(error as Error).message}`, { file }, error);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new SparrowError(
      'invalid',
      'CONFIG',
      `${file}: a configuration is a list of names and values, such as 'listen: 127.0.0.1:7400'`,
      { file },
    );
  }
  try {
    return resolveSettings({ ...parsed, ...withoutUndefined(flags) } as ServerSettingsInput);
  } catch (error) {
    if (!(error instanceof SparrowError)) throw error;
    throw new SparrowError(error.kind, error.code, `${file}: ${error.message}`, { ...error.details, file }, error);
  }
}

function settingsError(issue: z.core.$ZodIssue): SparrowError {
  const path = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const name = [path, issue.keys[0]!].filter((part) => part !== '').join('.');
    const known = Object.keys((PARTS.get(path) ?? NODE).shape);
    return new SparrowError('invalid', 'OPTION_UNKNOWN', `unknown setting '${name}'; known are: ${known.join(', ')}`, { field: name });
  }
  return new SparrowError('invalid', 'OPTION_RANGE', `${path}: ${issue.message}`, { field: path });
}

function withoutUndefined<T extends object>(input: T): T {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined)) as T;
}

function freezeDeep<T extends object>(value: T): T {
  for (const child of Object.values(value)) if (typeof child === 'object' && child !== null) freezeDeep(child as object);
  return Object.freeze(value);
}
