/**
 * A wall clock for each node that can be set and made to run wrong, by libfaketime: it is loaded into the node's process and reads a file once a second. The
 * monotonic clock stays true, as it does when somebody sets a machine's time.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LIBRARIES: readonly string[] = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  (name) => `/usr/lib/${name}/faketime/libfaketimeMT.so.1`,
);

export class Clocks {
  readonly #directory: string;
  readonly #library: string;

  /** Throws with the reason when this machine cannot. */
  constructor(nodes: number) {
    const library = LIBRARIES.find((file) => existsSync(file));
    if (library === undefined) throw new Error('libfaketime is not installed');
    this.#library = library;
    this.#directory = mkdtempSync(join(tmpdir(), 'sparrowkv-clocks-'));
    for (let id = 1; id <= nodes; id++) this.heal(id);
  }

  envOf(id: number): Record<string, string> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#file(id),
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_FORCE_MONOTONIC_FIX: '0',
    };
  }

  /** In the words of libfaketime: `+3600`, `-30`, `+0 x2.0`. */
  set(id: number, words: string): void {
    writeFileSync(this.#file(id), `${words}\n`);
  }

  heal(id: number): void {
    this.set(id, '+0');
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #file(id: number): string {
    return join(this.#directory, String(id));
  }
}
