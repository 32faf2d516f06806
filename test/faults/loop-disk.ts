/**
 * A file system in a file, mounted through a loop device, that can be cut off from its disk: FS_IOC_GOINGDOWN without flushing the journal is
 * what power loss is to it. Needs root, loop devices, mkfs and perl (for the ioctl).
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { truncateSync } from 'node:fs';

export type LoopFileSystem = 'ext4' | 'xfs';

const MIB = 1024 * 1024;
/** Smallest that mkfs.xfs takes. */
const BYTES: Readonly<Record<LoopFileSystem, number>> = { ext4: 96 * MIB, xfs: 320 * MIB };
const MAKE: Readonly<Record<LoopFileSystem, readonly string[]>> = { ext4: ['mkfs.ext4', '-q', '-F'], xfs: ['mkfs.xfs', '-q', '-f'] };
/** FS_IOC_GOINGDOWN with FS_GOING_FLAGS_NOLOGFLUSH. */
const GOING_DOWN = 'open(my $d, "<", $ARGV[0]) or die $!; my $flags = pack("L", 2); ioctl($d, 0x8004587d, $flags) or die $!';

export class LoopDisk {
  readonly path: string;
  readonly #parent: string;
  readonly #image: string;
  #mounted = false;

  /** Throws with the reason when this machine cannot. */
  constructor(fileSystem: LoopFileSystem, bytes: number = BYTES[fileSystem]) {
    if (process.getuid?.() !== 0) throw new Error('mounting takes root');
    this.#parent = mkdtempSync(join(tmpdir(), 'sparrowkv-disk-'));
    this.#image = join(this.#parent, 'image');
    this.path = join(this.#parent, 'mounted');
    mkdirSync(this.path);
    writeFileSync(this.#image, '');
    truncateSync(this.#image, bytes);
    try {
      const [command, ...args] = MAKE[fileSystem];
      run(command!, [...args, this.#image]);
      this.mount();
    } catch (error) {
      rmSync(this.#parent, { recursive: true, force: true });
      throw error;
    }
  }

  /** Replays the journal. */
  mount(): void {
    run('mount', ['-o', 'loop', this.#image, this.path]);
    this.#mounted = true;
  }

  /** From here on nothing reaches the disk, and every call fails. */
  losePower(): void {
    run('perl', ['-e', GOING_DOWN, this.path]);
  }

  /** Nobody has a file open in it. */
  unmount(): void {
    if (!this.#mounted) return;
    run('umount', [this.path]);
    this.#mounted = false;
  }

  remove(): void {
    this.unmount();
    rmSync(this.#parent, { recursive: true });
  }
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error || status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}
