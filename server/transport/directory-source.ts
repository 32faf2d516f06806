/** The files of a directory (a checkpoint, mostly) as a snapshot to be sent. They must not change until it is closed, as far as they are sent. */
import { assert } from '../../base/assert.ts';
import type { File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { checkFileName } from './snapshot-names.ts';
import type { SnapshotFile, SnapshotHead, SnapshotSource } from './transport.ts';

interface OpenFile {
  readonly file: File;
  readonly number: number;
  reads: number;
  closing: boolean;
}

export class DirectorySource implements SnapshotSource {
  readonly term: number;
  readonly snapshot: SnapshotHead['snapshot'];
  readonly id: string;
  readonly files: readonly SnapshotFile[];
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  #open: OpenFile | undefined;
  #closed = false;

  /** `names`: of the files to be sent, all in the directory when it is left out. `lengths`: of those of which not all is sent. */
  constructor(
    fileSystem: FileSystem,
    directory: string,
    head: Pick<SnapshotHead, 'term' | 'snapshot' | 'id'>,
    names: readonly string[] = fileSystem.listSync(directory),
    lengths: ReadonlyMap<string, number> = new Map(),
  ) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.term = head.term;
    this.snapshot = head.snapshot;
    this.id = head.id;
    this.files = names.map((name) => ({ name: checkFileName(name), bytes: lengths.get(name) ?? this.#sizeOf(name) }));
  }

  async read(file: number, offset: number, target: Uint8Array): Promise<void> {
    assert(file < this.files.length, 'a file of the snapshot is read');
    if (this.#closed) throw new SparrowError('closed', 'SNAPSHOT_RELEASED', `snapshot ${this.id} is closed`, { id: this.id });
    const open = this.#opened(file);
    open.reads++;
    try {
      const bytes = await open.file.read(target, 0, target.length, offset);
      if (bytes === target.length) return;
    } finally {
      open.reads--;
      if (open.closing && open.reads === 0) open.file.closeSync();
    }
    const { name } = this.files[file]!;
    throw new SparrowError('corrupt', 'SNAPSHOT_FILE', `${this.#directory}/${name} is shorter than when the snapshot was taken`, { name });
  }

  close(): void {
    this.#closed = true;
    this.#letGo();
  }

  #opened(number: number): OpenFile {
    if (this.#open?.number === number) return this.#open;
    this.#letGo();
    const file = this.#fileSystem.openSync(`${this.#directory}/${this.files[number]!.name}`, 'read');
    return (this.#open = { file, number, reads: 0, closing: false });
  }

  /** A file that is being read is closed by the read. */
  #letGo(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    open.closing = true;
    if (open.reads === 0) open.file.closeSync();
  }

  #sizeOf(name: string): number {
    const file = this.#fileSystem.openSync(`${this.#directory}/${name}`, 'read');
    try {
      return file.sizeSync();
    } finally {
      file.closeSync();
    }
  }
}
