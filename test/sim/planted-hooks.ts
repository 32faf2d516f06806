/**
 * Bugs that are planted around the server's stack, in its disk and before its verbs: what the simulation must find at least. Those planted in
 * the sources stand in planted-bugs.ts.
 */
import type { File, FileSystem } from '../../base/env.ts';
import type { MultiGetRequest, MultiGetResponse } from '../../proto/index.ts';
import type { Calls, StackHooks } from './server-program.ts';

export interface PlantedHook {
  readonly name: string;
  /** A life of the program begins with fresh ones. */
  readonly hooks: () => StackHooks;
}

export const PLANTED_HOOKS: readonly PlantedHook[] = [
  {
    name: 'the Raft log is not synced',
    hooks: () => ({
      fileSystem: (disk) => ({
        ...methods(disk),
        openSync: (path, mode) => withoutSync(disk.openSync(path, mode), path),
      }),
    }),
  },
  {
    name: 'reads come from what was read before',
    hooks: () => ({ calls: stale }),
  },
  {
    name: 'a write that is sent again is applied again',
    hooks: () => ({
      calls: (calls) => ({
        multiGet: (request) => calls.multiGet(request),
        write: (request, call) => calls.write({ ...request, requestId: undefined }, call),
      }),
    }),
  },
  {
    name: 'conditions are not looked at',
    hooks: () => ({
      calls: (calls) => ({
        multiGet: (request) => calls.multiGet(request),
        write: (request, call) => calls.write({ ...request, conditions: [] }, call),
      }),
    }),
  },
  {
    name: 'a batch is written in two halves',
    hooks: () => ({ calls: inHalves }),
  },
];

function methods(disk: FileSystem): FileSystem {
  return {
    openSync: (path, mode) => disk.openSync(path, mode),
    renameSync: (from, to) => disk.renameSync(from, to),
    linkSync: (existing, path) => disk.linkSync(existing, path),
    unlinkSync: (path) => disk.unlinkSync(path),
    unlink: (path) => disk.unlink(path),
    existsSync: (path) => disk.existsSync(path),
    listSync: (directory) => disk.listSync(directory),
    makeDirectorySync: (path) => disk.makeDirectorySync(path),
    syncDirectorySync: (path) => disk.syncDirectorySync(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    lockDirectory: (path) => disk.lockDirectory(path),
  };
}

function withoutSync(file: File, path: string): File {
  if (!path.endsWith('.raft')) return file;
  return {
    readSync: (target, targetOffset, length, position) => file.readSync(target, targetOffset, length, position),
    read: (target, targetOffset, length, position) => file.read(target, targetOffset, length, position),
    writeSync: (source, sourceOffset, length, position) => file.writeSync(source, sourceOffset, length, position),
    writevSync: (spans, position) => file.writevSync(spans, position),
    datasyncSync: () => file.datasyncSync(),
    datasync: () => Promise.resolve(),
    truncateSync: (bytes) => file.truncateSync(bytes),
    sizeSync: () => file.sizeSync(),
    linksSync: () => file.linksSync(),
    closeSync: () => file.closeSync(),
  };
}

/** Every fifth read is answered with what the same keys had at the last one. */
function stale(calls: Calls): Calls {
  const before = new Map<string, MultiGetResponse>();
  let reads = 0;
  return {
    multiGet: async (request: MultiGetRequest) => {
      const name = request.keys.map(String).join();
      const known = before.get(name);
      if (known && ++reads % 5 === 0) return known;
      const answer = await calls.multiGet(request);
      before.set(name, answer);
      return answer;
    },
    write: (request, call) => calls.write(request, call),
  };
}

function inHalves(calls: Calls): Calls {
  return {
    multiGet: (request) => calls.multiGet(request),
    write: async (request, call) => {
      if (request.operations.length < 2) return calls.write(request, call);
      const [first, ...others] = request.operations;
      const answer = await calls.write({ ...request, operations: [first!] }, call);
      if (!answer.applied) return answer;
      return calls.write({ requestId: undefined, conditions: [], operations: others }, call);
    },
  };
}
