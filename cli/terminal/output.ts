/**
 * Writing to stdout with back-pressure, and ending quietly when its reader has gone (`sparrowkv scan | head`).
 *
 * Small pieces are gathered into writes of 64 KiB. `write` settles when the next piece is welcome, so no output piles up in memory.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';

import { EXIT_FAILED } from '../exit.ts';

const GATHER_BYTES = 64 * 1024;

export class Output {
  readonly #stream: Writable;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  async write(piece: Uint8Array | string): Promise<void> {
    const bytes = typeof piece === 'string' ? Buffer.from(piece, 'utf8') : Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    if (this.#gatheredBytes >= GATHER_BYTES) await this.flush();
  }

  /** Settles when the stream has taken all that was written. */
  async flush(): Promise<void> {
    if (this.#gatheredBytes === 0) return;
    const bytes = this.#gathered.length === 1 ? this.#gathered[0] : Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (!this.#stream.write(bytes)) await once(this.#stream, 'drain');
  }

  /** As flush; then waits until the operating system has it all: a process that ends right after loses nothing. */
  async finish(): Promise<void> {
    await this.flush();
    await new Promise<void>((resolve, reject) => this.#stream.write('', (error) => (error ? reject(error) : resolve())));
  }
}

/** When the reader of stdout or stderr goes away, the program ends as if its work were done: that is what `| head` means. A disk that is full is told. */
export function exitWhenReaderLeaves(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
      if (stream === process.stdout) process.stderr.write(`sparrowkv: cannot write the output: ${error.message}\n`);
      process.exit(EXIT_FAILED);
    });
  }
}
