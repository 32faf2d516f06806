/** Runs the command line as a user does: `node cli/main.ts ...` as a process. */
import { spawn } from 'node:child_process';

import { MAIN } from '../e2e/server-process.ts';

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: string;
}

export interface Running {
  readonly finished: Promise<Finished>;
  kill(signal: NodeJS.Signals): void;
}

export interface RunOptions {
  stdin?: Uint8Array | string;
  env?: Record<string, string>;
  cwd?: string;
}

export function runCli(operands: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return startCli(operands, options).finished;
}

export function startCli(operands: readonly string[], { stdin, env, cwd }: RunOptions = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...operands], { env: { ...process.env, ...env }, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (piece: Buffer) => stdout.push(piece));
  child.stderr.on('data', (piece: Buffer) => stderr.push(piece));
  // A command that does not read its stdin may end before it is written.
  child.stdin.on('error', () => undefined);
  child.stdin.end(stdin ?? '');
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({ code, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8') }),
    );
  });
  return { finished, kill: (signal) => child.kill(signal) };
}
