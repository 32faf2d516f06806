/**
 * One server process of a cluster. It is ended by its id, however this process ends: whoever runs the benchmark calls `endAll` on its way out.
 */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import type { ServerMessage } from '../../cli/server-messages.ts';

const LINES_KEPT = 20;
const STOP_MS_MAX = 10_000;

const running: Set<ChildProcess> = new Set();

/** At once, also from a handler of `exit`. */
export function endAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Is ended with the others. */
export function endLater<C extends ChildProcess>(child: C): C {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

export interface MemberOptions {
  readonly program: string;
  readonly operands: readonly string[];
  /** With a channel it says over it when it is ready. */
  readonly channel: boolean;
}

export class Member {
  readonly #child: ChildProcess;
  readonly #exited: Promise<string>;
  #lines: string[] = [];
  #end: string | undefined;

  constructor({ program, operands, channel }: MemberOptions) {
    const stdio: StdioOptions = channel ? ['ignore', 'ignore', 'pipe', 'ipc'] : ['ignore', 'ignore', 'pipe'];
    this.#child = endLater(spawn(program, operands, { stdio }));
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#lines = [...this.#lines, ...text.trimEnd().split('\n')].slice(-LINES_KEPT);
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve((this.#end = error.message)));
      this.#child.once('exit', (code, signal) => resolve((this.#end = signal ?? `exit code ${code}`)));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it said last, when it has ended; undefined while it runs. */
  get ended(): string | undefined {
    return this.#end === undefined ? undefined : [this.#end, ...this.#lines].join('\n');
  }

  /** Settles when it has said over its channel that it is ready. Rejects when it says what keeps it from it, when it ends, or when `millisecondsMax` pass. */
  async ready(millisecondsMax: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, failed) => {
      timer = setTimeout(() => failed(new Error(`a server was not ready within ${millisecondsMax} ms`)), millisecondsMax);
    });
    const said = new Promise<ServerMessage>((settled) => this.#child.once('message', (message) => settled(message as ServerMessage)));
    try {
      const message = await Promise.race([said, late, this.#exited]);
      if (typeof message === 'string') throw new Error(`a server ended before it was ready: ${this.ended}`);
      if (message.type === 'failed') throw new Error(message.message);
    } finally {
      clearTimeout(timer);
    }
  }

  /** In good order, so that it can write its profile, or at once. */
  async stop(inOrder: boolean): Promise<void> {
    if (this.#end !== undefined) return;
    this.#child.kill(inOrder ? 'SIGTERM' : 'SIGKILL');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX);
    await this.#exited;
    clearTimeout(timer);
  }
}
