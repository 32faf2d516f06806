/**
 * A real server in a process of its own, started from the command line with an empty directory, and what it costs: CPU and memory as the
 * kernel accounts them to it (Linux; undefined elsewhere).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 6_000;
/** Linux counts CPU time for user space in hundredths of a second, whatever the kernel's own tick. */
const TICK_US = 10_000;

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
    // After the name in parentheses, which may hold spaces: state is the first field, utime and stime are the twelfth and thirteenth.
    const fields = this.#proc('stat')?.split(') ')[1]?.split(' ');
    return fields && (Number(fields[11]) + Number(fields[12])) * TICK_US;
  }

  /** Most memory that it has held. */
  peakRssBytes(): number | undefined {
    const match = /^VmHWM:\s+(\d+) kB$/m.exec(this.#proc('status') ?? '');
    return match ? Number(match[1]) * 1024 : undefined;
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

  #proc(file: string): string | undefined {
    try {
      return readFileSync(`/proc/${this.#child.pid}/${file}`, 'latin1');
    } catch {
      return undefined; // Not Linux.
    }
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
