/**
 * Bugs to plant in the server's sources, one at a time, to see how many seeds of the simulation each takes (planted.ts). Every one is an edit:
 * `find` stands in the file exactly once and gives way to `plant`.
 */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly plant: string;
}

export interface PlantedBug extends Edit {
  readonly name: string;
  /** What else it takes. */
  readonly also?: Edit;
  /** What the campaign is told of the cluster that is to find it; a single server when left out. */
  readonly cluster?: readonly string[];
}

export function edits(bug: PlantedBug): readonly Edit[] {
  return bug.also === undefined ? [bug] : [bug, bug.also];
}

const LOG_WRITER = 'server/node/log/log-writer.ts';
const OPEN_SEGMENT = 'server/node/log/open-segment.ts';
const SEGMENTS = 'server/node/log/segment-files.ts';
const NODE_LOG = 'server/node/log/node-log.ts';
const DRIVE = 'server/node/core-drive.ts';
const OPENING = 'server/node/replica-opening.ts';
const MACHINE = 'server/node/state-machine.ts';
const UPKEEP = 'server/node/engine-upkeep.ts';
const REQUESTS = 'server/node/request-table.ts';

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'the Raft log is not synced',
    file: OPEN_SEGMENT,
    find: '    await this.#file!.datasync();\n',
    plant: '    await Promise.resolve();\n',
  },
  {
    name: 'a failed sync of the Raft log goes unnoticed',
    file: OPEN_SEGMENT,
    find: '    await this.#file!.datasync();\n',
    plant: '    await this.#file!.datasync().catch(() => undefined);\n',
  },
  {
    name: 'a failed sync of the Raft log is tried again',
    file: OPEN_SEGMENT,
    find: '    await this.#file!.datasync();\n',
    plant: '    await this.#file!.datasync().catch(() => this.#file!.datasync());\n',
  },
  {
    name: 'a new segment of the Raft log has no synced directory entry',
    file: SEGMENTS,
    find: '      await fileSystem.syncDirectory(directory);\n    } catch',
    plant: '    } catch',
  },
  {
    name: 'a new segment of the Raft log has no synced header',
    file: SEGMENTS,
    find: '      await file.datasync();\n',
    plant: '',
  },
  {
    name: 'what follows a torn end of the Raft log stays',
    file: NODE_LOG,
    find: '      if (file.sizeSync() > last.bytes) file.truncateSync(last.bytes);\n',
    plant: '',
  },
  {
    name: 'what only the cache holds of the Raft log is built upon',
    file: NODE_LOG,
    find: '      file.writeSync(found, 0, found.length, from);\n',
    plant: '',
  },
  {
    name: 'segments of the Raft log are removed beyond what the engine has',
    file: LOG_WRITER,
    find: '    for (const state of this.#parts.groups.values()) oldest = Math.min(oldest, state.oldestSegment());\n',
    plant: '',
  },
  {
    name: 'segments of the Raft log are removed before the log says where it begins',
    file: LOG_WRITER,
    find: '    this.#freeBefore = free;\n',
    plant: '    this.#freeBefore = this.#oldestNeeded();\n',
  },
  {
    name: 'a spare file gets its name before its header',
    file: SEGMENTS,
    find: '      noRoom(() => file.writevSync([encodeSegmentHeader(number, this.#salt, hash), contents], 0));\n      await file.datasync();\n      fileSystem.renameSync(join(directory, spare), this.path(number));\n',
    plant:
      '      fileSystem.renameSync(join(directory, spare), this.path(number));\n      await fileSystem.syncDirectory(directory);\n      noRoom(() => file.writevSync([encodeSegmentHeader(number, this.#salt, hash), contents], 0));\n      await file.datasync();\n',
  },
  {
    name: 'entries count as durable before they are',
    file: DRIVE,
    find: '    snapshots.store(output, written).then(\n',
    plant: '    snapshots.store(output, written).catch((error: unknown) => this.fail(error));\n    Promise.resolve().then(\n',
  },
  {
    name: 'the Raft log is cut before the engine is synced',
    file: UPKEEP,
    find: '    this.#points = false;\n    const flushing',
    plant: '    this.#points = false;\n    this.#madeDurable(this.#machine.applied);\n    const flushing',
  },
  {
    name: 'a value is looked for where it is not',
    file: 'server/node/command-codec.ts',
    find: 'place.offset + reader.at }',
    plant: 'place.offset + reader.at + 1 }',
  },
  {
    name: 'segments that hold values are written over',
    file: SEGMENTS,
    find: 'file.linksSync() === 1',
    plant: 'file.linksSync() >= 1',
  },
  {
    name: 'what was logged and not applied is not applied after a restart',
    file: OPENING,
    find: '      if (entry.index <= commit) await machine.apply(entry);\n',
    plant: '      if (entry.index <= commit) await machine.apply(entry.index % 7 === 0 ? { ...entry, data: new Uint8Array(0) } : entry);\n',
  },
  {
    name: 'identified writes are not remembered',
    file: MACHINE,
    find: '    if (id !== undefined) this.#requests.remember(id, index, remembered, batch);\n',
    plant: '',
  },
  {
    name: 'identified writes are forgotten with a restart',
    file: MACHINE,
    find: '    this.#requests.load(engine.scanSync({ prefix: RECORD_PREFIX }), engine.getSync(RequestTable.floorKey));\n',
    plant: '',
  },
  {
    name: 'an identified write is remembered beside its batch, not in it',
    file: REQUESTS,
    find: "    batch.push({ type: 'put', key: recordKey(client.id, slot), value: encodeRecord(id.sequence, index, result) });\n",
    plant:
      "    if (slot % 4 !== 0) batch.push({ type: 'put', key: recordKey(client.id, slot), value: encodeRecord(id.sequence, index, result) });\n",
  },
  {
    name: 'a condition holds for any version',
    file: MACHINE,
    find: 'current?.version === condition.version',
    plant: 'current !== undefined',
  },
  {
    name: 'a condition on a missing key always holds',
    file: MACHINE,
    find: '          ? current === undefined\n',
    plant: '          ? true\n',
  },
  {
    name: 'a remembered write answers with the newest version',
    file: MACHINE,
    find: "command.kind === 'write' ? appliedAt(before.index)",
    plant: "command.kind === 'write' ? appliedAt(index)",
  },
  {
    name: 'the last operation of a batch is lost',
    file: MACHINE,
    find: '      for (const operation of command.operations) batch.push(operation);\n',
    plant: '      for (const operation of command.operations.slice(0, 1)) batch.push(operation);\n',
  },
  {
    name: 'a multiGet looks at its keys at several moments',
    file: 'server/gateway/kv-calls.ts',
    find: '    return ready === undefined ? this.#multiGet(replica, request) : ready.then(() => this.#multiGet(replica, request));\n',
    plant:
      '    const first = this.#multiGet(replica, { keys: request.keys.slice(0, 1) });\n    return this.replica.propose(encodeWrite(undefined, [], []), { cancelled: false, deadlineMs: Infinity }).then(() => {\n      const others = this.#multiGet(replica, { keys: request.keys.slice(1) });\n      return { entries: [...first.entries, ...others.entries] };\n    });\n',
  },
];
