/**
 * The door: validates settings, takes the directory, recovers, and puts the engine together. Components are injected or defaulted here and
 * nowhere below.
 *
 * Order of recovery: lock; manifest (the newest durable version), whose files must all be there; the log from the manifest's floor on is
 * replayed into a memtable, passing over what tables already have; files that belong to nothing are removed; a new log segment is opened with
 * the first write.
 */
import type { Clock, FileSystem, Random, Scheduler, Zstd, Timer } from '../base/env.ts';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler, nodeZstd, processMs } from '../base/node/index.ts';
import { SparrowError } from '../base/errors.ts';
import type { Engine } from './api.ts';
import { ColdReads, type ReadPolicy, RecentReads } from './cold-reads/index.ts';
import { SparrowEngine } from './engine.ts';
import { ExpiryTime } from './expiry-time.ts';
import { Events } from './events/index.ts';
import { checkHosted, HostedLog, HostedWriter, HostLinks, SparrowHostedEngine } from './hosted/index.ts';
import type { Hosted, HostedEngine } from './hosted-api.ts';
import { checkOptions } from './keys.ts';
import { assertWritable } from './keyspace-settings.ts';
import { logFileName, LogWriter, replayLog } from './log/index.ts';
import { Maintenance } from './maintenance/index.ts';
import { makeDirectory } from './make-directory.ts';
import { highestFileId, logLeft, Manifest, missingFiles, segmentsToReplay, type Version } from './manifest/index.ts';
import { withNextStep } from './next-step.ts';
import type { OpenFiles } from './open-files.ts';
import { Reader } from './reader.ts';
import type { Resources } from './resources-api.ts';
import { SharedResources } from './resources.ts';
import {
  type EngineSettings,
  type EngineSettingsInput,
  resolveSettings,
  resolveResourceSettings,
  type ResourceSettingsInput,
} from './settings.ts';
import { Snapshots } from './snapshots.ts';
import { requireZstd } from './table/index.ts';
import { newStoreId, storeIdSettings } from './upkeep/index.ts';
import { ValueFiles } from './value-files.ts';
import { View } from './view.ts';
import { type EngineWriter, Writer } from './writer.ts';

const LOG_RESTS_AFTER_MS = 2000;

/** What the engine touches the world through. Defaults: the real file system, the event loop, the system's clock, a worker thread. */
export interface EngineComponents {
  fileSystem?: FileSystem;
  scheduler?: Scheduler;
  /** Tells what has expired. */
  clock?: Clock;
  /** Gives new stores their ids. Default: the system's, with the real file system; none with another. */
  random?: Random;
  /** For tables that are compressed by it. Default: node:zlib's, where it has it. */
  zstd?: Zstd | undefined;
  /** `worker`: flush and compaction in a thread of their own (real file system only). `inline`: on the caller's thread. */
  background?: 'worker' | 'inline';
  /** Memory, caches and threads that it shares with other engines. Default: its own, made of its settings and closed with it. */
  resources?: Resources;
  /**
   * Makes what decides which reads of asynchronous verbs are done on the caller's thread and which away from it, once for tables and once for large
   * values. Default: by how long they took lately (RecentReads).
   */
  readPolicy?: () => ReadPolicy;
  /** A host keeps a durable log for it: the engine has none of its own, and what `open` gives is a HostedEngine. See hosted-api.ts. */
  hosted?: Hosted;
}

const COMPONENTS: readonly string[] = [
  'fileSystem',
  'scheduler',
  'clock',
  'random',
  'zstd',
  'background',
  'resources',
  'readPolicy',
  'hosted',
];

/**
 * Opens the store in directory `path`, making it when it is not there. Only one holder at a time: `unavailable/LOCKED` otherwise.
 * `invalid/OPTION_UNKNOWN`, `invalid/OPTION_RANGE`, `invalid/OPTION_SHARED` for settings and components; `invalid/NO_DIRECTORY` where no directory can be; `corrupt/CORRUPT_*` with file and offset when something durable is damaged.
 *
 * With `hosted`: `invalid/OPTION_HOSTED` for settings of a log; `conflict/LOG_LEFT` for a store that an engine with a log of its own has left something in.
 */
export async function open(
  path: string,
  settings: EngineSettingsInput | undefined,
  components: EngineComponents & { hosted: Hosted },
): Promise<HostedEngine>;
export async function open(path: string, settings?: EngineSettingsInput, components?: EngineComponents): Promise<Engine>;
export async function open(path: string, settings?: EngineSettingsInput, components: EngineComponents = {}): Promise<Engine> {
  if (typeof path !== 'string' || path === '') {
    throw new SparrowError('invalid', 'TYPE', 'path is the name of a directory', { field: 'path' });
  }
  checkOptions(components, COMPONENTS);
  if (components.hosted !== undefined) checkHosted(components.hosted, settings);
  const shared = components.resources && SharedResources.from(components.resources);
  const resolved = resolveSettings(settings, shared?.settings);
  const fileSystem = components.fileSystem ?? new NodeFileSystem();
  const scheduler = components.scheduler ?? new NodeScheduler();
  const clock = components.clock ?? new NodeClock();
  const random = components.random ?? (components.fileSystem ? undefined : new NodeRandom());
  const background = components.background ?? (components.fileSystem ? 'inline' : 'worker');
  const zstd = 'zstd' in components ? components.zstd : nodeZstd;
  if (Object.values(resolved.compression).includes('zstd')) requireZstd(zstd, 'what the setting compression asks for');
  const readPolicy = components.readPolicy ?? ((): ReadPolicy => new RecentReads(clock));
  makeDirectory(fileSystem, path);
  const lock = fileSystem.lockDirectory(path);
  try {
    const { hosted } = components;
    return await recover({
      path,
      settings: resolved,
      shared,
      fileSystem,
      scheduler,
      clock,
      random,
      zstd,
      background,
      readPolicy,
      lock,
      hosted,
    });
  } catch (error) {
    lock.release();
    throw withNextStep(error, path, 'closed');
  }
}

/**
 * Resources for any number of engines: `open(path, settings, { resources })`. `invalid/OPTION_UNKNOWN`, `invalid/OPTION_RANGE` for settings.
 * `close()` is refused while an engine uses them.
 */
export function createResources(settings?: ResourceSettingsInput): Resources {
  return new SharedResources(resolveResourceSettings(settings), processMs);
}

interface Door {
  path: string;
  settings: Readonly<EngineSettings>;
  shared: SharedResources | undefined;
  fileSystem: FileSystem;
  scheduler: Scheduler;
  clock: Clock;
  random: Random | undefined;
  zstd: Zstd | undefined;
  background: 'worker' | 'inline';
  readPolicy: () => ReadPolicy;
  lock: { release(): void };
  hosted: Hosted | undefined;
}

/** An opening that fails must leave nothing behind: it is tried again in the same process. */
type Undo = (close: () => void | Promise<void>) => void;

async function recover(door: Door): Promise<Engine> {
  const undo: (() => void | Promise<void>)[] = [];
  try {
    return build(door, (close) => undo.unshift(close));
  } catch (error) {
    for (const close of undo) await close();
    throw error;
  }
}

function build(door: Door, undo: Undo): Engine {
  const { path, settings, fileSystem, scheduler, clock, random, zstd, hosted } = door;
  const { manifest, version } = Manifest.open(fileSystem, path, {
    rollBytes: settings.manifestBytes,
    settings: () => storeIdSettings(random && newStoreId(random)),
  });
  undo(() => manifest.close());
  for (const keyspace of version.keyspaces.values()) assertWritable(keyspace, zstd);
  const listing = fileSystem.listSync(path);
  assertComplete(version, listing, path);
  if (hosted) assertNoLog(version, listing, path);

  // Inline there is one thread, which has the engine's clock.
  const nowMs = door.background === 'inline' ? (): number => clock.monotonicMs() : processMs;
  const resources = door.shared ?? new SharedResources(settings, nowMs);
  const exit = resources.enter(path);
  let letGo: (() => void) | undefined;
  const leave = async (): Promise<void> => {
    letGo?.();
    exit();
    if (resources !== door.shared) await resources.close();
  };
  undo(leave);
  resources.reserve(settings);
  const { memory } = resources;
  const view = new View(memory);
  undo(() => view.free());
  const coldReads = new ColdReads(clock, door.readPolicy);
  const values = new ValueFiles(memory, resources.valueCache, resources.valueWindow, fileSystem, resources.files, path, coldReads);
  undo(() => values.close());
  let log: LogWriter | undefined;
  let writer: EngineWriter;
  const events = new Events(clock, scheduler);
  const openedMs = clock.monotonicMs();
  const pendingAt = (segment: number, offset: number): number => log?.pendingAt(segment, offset) ?? 0;
  const expiryTime = new ExpiryTime(clock, hosted?.expiry === 'told');
  const reader = new Reader(memory, resources.valuePool, view, values, expiryTime, pendingAt, events, path);
  const background = resources.background(door.background, fileSystem, scheduler, zstd);
  const snapshots = new Snapshots((sequence) => maintenance.newestSnapshot(sequence));
  const maintenance = new Maintenance({
    memory,
    budget: resources.memtables,
    flushScratch: resources.flushScratch,
    io: resources.io,
    files: resources.files,
    fileSystem,
    directory: path,
    zstd,
    indexBudget: resources.indexBudget,
    coldReads,
    settings,
    scheduler,
    clock,
    expiryTime,
    manifest,
    version,
    nextFileId: Math.max(version.nextFileId, highestFileId(listing) + 1),
    background,
    view,
    reader,
    values,
    snapshots,
    events,
    isHosted: hosted !== undefined,
    onSealed: () => writer.memtableSealed(),
  });
  // Its edits go through the log into the manifest: it ends before their files do.
  undo(() => maintenance.close());
  const batchMemoryBytesMax = resources.memoryForMemtables - settings.memtableBytes;
  const common = {
    fileSystem,
    scheduler,
    random,
    zstd,
    path,
    settings,
    clock,
    resources,
    leave,
    view,
    reader,
    coldReads,
    values,
    maintenance,
  };
  const others = { snapshots, events, manifest, openedMs, lock: door.lock };

  if (hosted) {
    const hostedLog = new HostedLog(hosted, path, events);
    maintenance.attachLog(hostedLog);
    const hostedWriter = new HostedWriter({
      memory,
      window: resources.valueWindow,
      log: hostedLog,
      links: new HostLinks(hosted, fileSystem, path, () => maintenance.takeFileId()),
      owner: maintenance.sealing,
      settings,
      sequence: version.lastSequence,
      batchMemoryBytesMax,
    });
    writer = hostedWriter;
    const engine = new SparrowHostedEngine({ ...common, ...others, log: hostedLog, writer: hostedWriter }, expiryTime);
    begin(door, manifest, maintenance, listing);
    return engine;
  }

  const replay = replayLog({
    memory,
    fileSystem,
    directory: path,
    segments: segmentsToReplay(version, listing),
    floor: version.logFloor,
    target: maintenance.replayed,
  });
  for (const { segment, bytes, file } of replay.segments) {
    values.add(segment, file);
    maintenance.segmentRecovered(segment, bytes);
  }
  maintenance.replayed.end();
  // From the newest on, one by one on disk: a segment that follows a missing one is never what a crash in here leaves.
  for (const segment of replay.dropped.toReversed()) {
    fileSystem.unlinkSync(values.forget(segment));
    fileSystem.syncDirectorySync(path);
  }

  log = new LogWriter({
    memory,
    staging: resources.staging,
    fileSystem,
    directory: path,
    clock,
    events,
    segmentBytes: settings.segmentBytes,
    callerSyncMs: settings.callerSyncMs,
    nextSegment: () => {
      // The version that was found may be in the system's cache only. Power loss would bring an older one back, beside which a log that
      // begins here has a gap in front, and a keyspace is unknown: no write may be acknowledged before it is on disk.
      manifest.makeDurable();
      return maintenance.takeFileId();
    },
    onSegment: (opened) => maintenance.segmentOpened(opened),
    onDone: (segment) => values.release(segment),
    reopen: (segment) => {
      const file = fileSystem.openSync(`${path}/${logFileName(segment)}`, 'write');
      values.add(segment, file);
      return file;
    },
    onSync: (ms) => resources.io.synced(ms, clock.monotonicMs()),
    unsynced: replay.segments,
  });
  maintenance.attachLog(log);
  letGo = holdFiles(resources.files, log, scheduler);
  writer = new Writer({
    memory,
    log,
    owner: maintenance.sealing,
    settings,
    scheduler,
    sequence: maintenance.replayed.lastSequence,
    batchMemoryBytesMax,
  });
  const engine = new SparrowEngine({ ...common, ...others, log, writer });
  begin(door, manifest, maintenance, listing);
  return engine;
}

/** Last of all: what looks as if it belonged to nothing may be what a repair needs, should anything before be refused. */
function begin({ fileSystem, path }: Door, manifest: Manifest, maintenance: Maintenance, listing: readonly string[]): void {
  const obsolete = manifest.obsoleteFiles(listing);
  if (obsolete.length > 0) manifest.makeDurable();
  for (const name of obsolete) fileSystem.unlinkSync(`${path}/${name}`);
  maintenance.resume();
}

/** While there are too many files, the log gives up its own once it has not been written to for a while. */
function holdFiles(files: OpenFiles, log: LogWriter, scheduler: Scheduler): () => void {
  let timer: Timer | undefined;
  const ask = (): void => {
    if (timer) return;
    const [segment, offset] = [log.segment, log.nextOffset];
    const look = (): void => {
      timer = undefined;
      if (!files.isOver) return;
      if (log.segment === segment && log.nextOffset === offset) log.rest();
      else ask();
    };
    timer = scheduler.after(LOG_RESTS_AFTER_MS, look, true);
  };
  files.addHolder(ask);
  return () => {
    files.removeHolder(ask);
    timer?.cancel();
  };
}

/** A hosted engine replays nothing. */
function assertNoLog(version: Version, listing: readonly string[], directory: string): void {
  const left = logLeft(version, listing);
  if (left === undefined) return;
  throw new SparrowError(
    'conflict',
    'LOG_LEFT',
    `${directory}/${left} holds writes of an engine with a log of its own: open it without 'hosted', flush and close it first`,
    { directory, file: left },
  );
}

function assertComplete(version: Version, listing: readonly string[], directory: string): void {
  const [missing, ...more] = missingFiles(version, listing);
  if (missing === undefined) return;
  const file = `${directory}/${missing}`;
  const others = more.length > 0 ? ` (and ${more.length} more)` : '';
  throw new SparrowError('corrupt', 'FILE_MISSING', `${file}${others} is part of the store, by its manifest, and is missing`, {
    file,
    offset: 0,
    missing: [missing, ...more].join(' '),
  });
}
