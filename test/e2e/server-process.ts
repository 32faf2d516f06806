/** The real server as a process, as a user runs it: `node cli/main.ts server`. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { ROOT } from '../project-files.ts';

export const MAIN: string = join(ROOT, 'cli/main.ts');

const READY_MS_MAX = 120_000;

export class ServerProcess {
  readonly address: string;
  readonly child: ChildProcess;
  /** All that it wrote to stdout. */
  readonly stdout: string[];
  /** Its last lines on stderr. */
  readonly stderr: string[];

  private constructor(child: ChildProcess, address: string, stdout: string[], stderr: string[]) {
    this.child = child;
    this.address = address;
    this.stdout = stdout;
    this.stderr = stderr;
  }

  /** Settles when it says that it is ready. Port 0: any free one. */
  static async start(data: string, port: number = 0, options: readonly string[] = []): Promise<ServerProcess> {
    const child = spawn(process.execPath, [MAIN, 'server', '--data', data, '--listen', `127.0.0.1:${port}`, ...options], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const stdout: string[] = [];
    const stderr: string[] = [];
    child.stderr.on('data', (text: Buffer) => {
      stderr.push(text.toString());
      if (stderr.length > 50) stderr.shift();
    });
    const address = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`the server was not ready after ${READY_MS_MAX} ms: ${stderr.join('')}`));
      }, READY_MS_MAX);
      child.stdout.on('data', (text: Buffer) => {
        stdout.push(text.toString());
        const ready = / on (\S+:\d+)\n/.exec(stdout.join(''));
        if (ready === null) return;
        clearTimeout(timer);
        resolve(ready[1]);
      });
      child.once('exit', (code, signal) =>
        reject(new Error(`the server ended (${signal ?? code}) before it was ready: ${stderr.join('')}`)),
      );
    });
    return new ServerProcess(child, address, stdout, stderr);
  }

  get port(): number {
    return Number(this.address.split(':').at(-1));
  }

  /** Sends the signal and waits for the end: the exit code, or the signal that ended it. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode ?? this.child.signalCode;
    const ended = once(this.child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    this.child.kill(signal);
    const [code, by] = await ended;
    return code ?? by;
  }
}
