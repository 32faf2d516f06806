/** A tmpfs for each node's data, which a ballast file can fill. Needs root, to mount. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class SmallDisks {
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'sparrowkv-disks-'));
  readonly #mounted: string[] = [];
  readonly #onExit = (): void => this.remove();

  /** Throws with the reason when this machine cannot. */
  constructor(nodes: number, bytes: number) {
    process.once('exit', this.#onExit);
    try {
      if (process.getuid?.() !== 0) throw new Error('mounting takes root');
      for (let id = 1; id <= nodes; id++) {
        const path = this.#path(id);
        mkdirSync(path);
        const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path], { encoding: 'utf8' });
        if (status !== 0) throw new Error(stderr.trim());
        this.#mounted.push(path);
      }
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  dataOf(id: number): string {
    return join(this.#path(id), 'data');
  }

  /** Leaves so many bytes. */
  fill(id: number, bytesLeft: number): void {
    const { bavail, bsize } = statfsSync(this.#path(id));
    writeFileSync(this.#ballast(id), Buffer.alloc(Math.max(0, bavail * bsize - bytesLeft), 1));
  }

  empty(id: number): void {
    unlinkSync(this.#ballast(id));
  }

  /** Nobody has files open in it. Idempotent. */
  remove(): void {
    process.off('exit', this.#onExit);
    // Nodes that are killed as this process exits may have files open for a moment more.
    for (const path of this.#mounted.splice(0)) spawnSync('umount', ['--lazy', path]);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #path(id: number): string {
    return join(this.#directory, String(id));
  }

  #ballast(id: number): string {
    return join(this.#path(id), 'ballast');
  }
}
