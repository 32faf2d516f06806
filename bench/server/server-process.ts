/**
 * A real server in a process of its own, started from the command line with an empty directory, and what it costs
 * (process-figures.ts).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { bytesWrittenBy, cpuUsOf, peakRssBytesOf } from './process-figures.ts';

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 6_000;

export class ServerProcess implements AsyncDisposable {
  readonly address: string;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, address: string, directory: string) {
    this.#child = child;
    this.address = address;
    this.#directory = directory;
  }

  /** Settles when the server has printed that it is ready. `nodeArguments` go before the program, for profiles. */
  static async start(parent: string | undefined, nodeArguments: readonly string[] = []): Promise<ServerProcess> {
    const directory = mkdtempSync(join(parent ?? tmpdir(), 'sparrowkv-bench-'));
    const address = `127.0.0.1:${await freePort()}`;
    const child = spawn(process.execPath, [...nodeArguments, MAIN, 'server', '--data', directory, '--listen', address], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const server = new ServerProcess(child, address, directory);
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
    const ready = once(child.stdout!, 'data');
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the server ended with code ${String(code)}: ${said.trim()}`);
    });
    const late = sleep(READY_MS_MAX, undefined, { ref: false }).then(() => {
      throw new Error(`the server was not ready within ${READY_MS_MAX} ms: ${said.trim()}`);
    });
    try {
      await Promise.race([ready, ended, late]);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    // From here on an end is expected; what else goes wrong shows in failing calls.
    ended.catch(() => undefined);
    child.stdout!.resume();
    return server;
  }

  /** User and system time of all its threads so far, microseconds. */
  cpuUs(): number | undefined {
    return cpuUsOf(this.#child.pid!);
  }

  /** What the kernel accounts to it as written to the disk so far; 0 where it does not. */
  bytesWritten(): number {
    return bytesWrittenBy(this.#child.pid!) ?? 0;
  }

  /** Its data. */
  get directory(): string {
    return this.#directory;
  }

  /** Most memory that it has held. */
  peakRssBytes(): number | undefined {
    return peakRssBytesOf(this.#child.pid!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      const stopped = await Promise.race([exited, sleep(STOP_MS_MAX, undefined, { ref: false })]);
      if (stopped === undefined) {
        this.#child.kill('SIGKILL');
        await exited;
      }
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
