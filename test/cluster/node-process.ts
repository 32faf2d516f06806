/**
 * One life of a node's process: `sparrowkv server`, from the sources or from dist, plainly or under another program (`ip netns exec`, `strace -D`).
 * Those programs become it or watch it, so that the pid is the server's own in any case.
 *
 * It holds a channel to this process and ends when that breaks; whatever lives when this process exits is killed by its pid, stopped ones too.
 * What it writes goes to a file.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServerMessage } from '../../cli/server-messages.ts';
import { ROOT } from '../project-files.ts';

export type RunFrom = 'source' | 'dist';

export interface Launch {
  readonly from: RunFrom;
  /** Behind `sparrowkv server`. */
  readonly args: readonly string[];
  /** The program that starts it, with arguments. */
  readonly under?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** stdout and stderr are appended to it. */
  readonly logFile: string;
}

const READY_MS_MAX = 120_000;
const MAIN: Readonly<Record<RunFrom, string>> = { source: join(ROOT, 'cli/main.ts'), dist: join(ROOT, 'dist/cli/main.js') };

const living = new Set<NodeProcess>();

export class NodeProcess {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  /** Settles with the exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  #end: number | NodeJS.Signals | undefined;
  #paused = false;

  constructor({ from, args, under = [], env = {}, logFile }: Launch) {
    const [command, ...rest] = [...under, process.execPath, MAIN[from], 'server', ...args] as [string, ...string[]];
    const log = openSync(logFile, 'a');
    this.#logFile = logFile;
    this.#child = spawn(command, rest, { stdio: ['ignore', log, log, 'ipc'], env: { ...process.env, ...env }, detached: true });
    closeSync(log);
    if (living.size === 0) process.once('exit', killLiving);
    living.add(this);
    this.ended = new Promise((resolve) => {
      const over = (end: number | NodeJS.Signals): void => {
        living.delete(this);
        if (living.size === 0) process.off('exit', killLiving);
        this.#end = end;
        resolve(end);
      };
      this.#child.once('error', (error) => {
        if (this.#child.pid === undefined) over(127);
        else throw error;
      });
      this.#child.once('exit', (code, signal) => over(signal ?? code!));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Settles when it takes calls. Throws with what it said when it ends before that. */
  async ready(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>(
      (resolve) => (timer = setTimeout(() => resolve(`it was not ready after ${READY_MS_MAX} ms`), READY_MS_MAX)),
    );
    const message = new Promise<ServerMessage>((resolve) => this.#child.once('message', (said) => resolve(said as ServerMessage)));
    const first = await Promise.race([message, late, this.ended.then((end) => `it ended with ${end}`)]);
    clearTimeout(timer);
    if (typeof first !== 'string' && first.type === 'ready') return;
    const why = typeof first === 'string' ? first : `${first.kind}/${first.code}: ${first.message}`;
    if (this.running) this.signal('SIGKILL');
    await this.ended;
    throw new Error(`a node did not start: ${why}\n${this.logEnd()}`);
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.running) return;
    this.#child.kill(signal);
    if (signal === 'SIGSTOP') this.#paused = true;
    if (signal === 'SIGCONT') this.#paused = false;
  }

  /** Sends the signal and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    if (this.#paused && signal !== 'SIGKILL') this.signal('SIGCONT');
    this.signal(signal);
    return this.ended;
  }

  logEnd(bytes = 4000): string {
    return readFileSync(this.#logFile, 'utf8').slice(-bytes);
  }
}

function killLiving(): void {
  for (const node of living) node.signal('SIGKILL');
}

/** Ctrl-C and the like end a script by its exit, which ends the nodes. Called by scripts; a test runner has ways of its own. */
export function exitOnSignals(): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)
    process.once(signal, () => process.exit(code));
}
