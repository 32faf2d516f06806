/**
 * A server in a process of its own, held by this one.
 *
 * It is started as `sparrowkv server` with a channel to its parent. Over the channel it says when it is ready or why it cannot be; when the
 * channel breaks, because the parent died however it died, it stops. It has a process group of its own, so that Ctrl-C reaches the parent only,
 * which then stops it in order. What it writes to stderr is handed on line by line.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { SparrowError } from '../../base/errors.ts';
import type { ServerMessage } from '../server-messages.ts';

/** The server itself gives up after 5 s. */
const STOP_MS_MAX = 8_000;
const LINES_KEPT = 20;

export interface ServerProcess {
  /** Where it listens. */
  readonly address: string;
  /** Of the dashboard. */
  readonly metricsAddress: string | undefined;
  readonly processId: number;
  /** Settles when the process has ended, with how: "exit code 1", "SIGKILL". */
  readonly ended: Promise<string>;
  /** Asks it to stop and waits for it. Idempotent. */
  stop(): Promise<void>;
  /** Ends it as kill -9 does, and waits for that. */
  kill(): Promise<void>;
}

/** `options`: of `sparrowkv server`. Throws what the server says that keeps it from starting. */
export async function startServerProcess(options: readonly string[], onLine: (line: string) => void): Promise<ServerProcess> {
  const child = spawn(process.execPath, [mainFile(), 'server', ...options], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: true,
  });
  // Before it is ready, its last lines are kept for the error that it may end with.
  const lines: string[] = [];
  let ready = false;
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (ready) onLine(line);
      else if (lines.push(line) > LINES_KEPT) lines.shift();
    });
  }
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const message = await Promise.race([firstMessage(child), ended]);
  if (typeof message === 'string') {
    throw new SparrowError('internal', 'SERVER_ENDED', `the server ended with ${message} before it was ready\n${lines.join('\n')}`);
  }
  if (message.type === 'failed') {
    await ended;
    throw new SparrowError(message.kind, message.code, message.message, message.details);
  }
  ready = true;
  for (const line of lines) onLine(line);
  let stopping: Promise<void> | undefined;
  return {
    address: message.address,
    metricsAddress: message.metricsAddress,
    processId: child.pid!,
    ended,
    stop: () => (stopping ??= stopProcess(child, ended)),
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function firstMessage(child: ChildProcess): Promise<ServerMessage> {
  const [message] = (await once(child, 'message')) as [ServerMessage];
  return message;
}

async function stopProcess(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await ended;
  clearTimeout(timer);
}

function mainFile(): string {
  const here = fileURLToPath(import.meta.url);
  return fileURLToPath(new URL(`../main${extname(here)}`, import.meta.url));
}
