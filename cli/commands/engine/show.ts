/** How the engine commands show what they found: lines for people, JSON for programs. */
import { isUtf8 } from 'node:buffer';

import type { Finding, UserKey } from '../../../engine/index.ts';
import { listenForInterrupt } from '../../interrupt.ts';
import { escapeBytes } from '../../terminal/escape.ts';
import { Output } from '../../terminal/output.ts';
import { startProgress } from '../../terminal/progress.ts';

/** A value as one line of JSON. Bytes are `name` as text, or `nameBase64` where they are not UTF-8. */
export function toJson(value: unknown, space?: number): string {
  return `${JSON.stringify(plain(value), null, space)}\n`;
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, each]) => [String(key), plain(each)]));
  if (typeof value !== 'object' || value === null) return value;
  const shown: Record<string, unknown> = {};
  for (const [name, each] of Object.entries(value)) {
    if (!(each instanceof Uint8Array)) shown[name] = plain(each);
    else if (isUtf8(each)) shown[name] = Buffer.from(each).toString('utf8');
    else shown[`${name}Base64`] = Buffer.from(each).toString('base64');
  }
  return shown;
}

/** "key" of the default keyspace, "3:key" of another. */
export function showKey(at: UserKey | undefined): string {
  if (at === undefined) return '?';
  return at.keyspace === 0 ? escapeBytes(at.key) : `${at.keyspace}:${escapeBytes(at.key)}`;
}

export function findingLines(kind: string, findings: readonly Finding[], count: number): string {
  const lines = findings.map(({ file, offset, what }) => `${kind}: ${file}${offset > 0 ? ` at ${offset}` : ''}: ${what}\n`);
  if (count > findings.length) lines.push(`${kind}: and ${count - findings.length} more\n`);
  return lines.join('');
}

/** Rows of a name and what it is. */
export function rows(named: readonly (readonly [string, string])[]): string {
  const width = Math.max(...named.map(([name]) => name.length)) + 2;
  return named.map(([name, text]) => `${name.padEnd(width)}${text}\n`).join('');
}

export async function print(text: string): Promise<void> {
  const output = new Output(process.stdout);
  await output.write(text);
  await output.finish();
}

export interface Watch {
  readonly signal: AbortSignal;
  readonly onProgress: (bytes: number) => void;
}

/** Runs long work with a bar on stderr and Ctrl-C, and sets the exit code that it returns. */
export async function watched(verb: string, work: (watch: Watch) => Promise<number>): Promise<void> {
  using interrupt = listenForInterrupt();
  const progress = startProgress(verb, { files: 0, bytes: 0, items: null });
  let seen = 0;
  const onProgress = (bytes: number): void => {
    progress.advance(0, bytes - seen);
    seen = bytes;
  };
  try {
    const code = await work({ signal: interrupt.signal, onProgress });
    progress.stop();
    process.exitCode = code;
  } catch (error) {
    progress.stop();
    const code = interrupt.exitCode();
    if (code === undefined) throw error;
    process.stderr.write(`${verb} was given up after ${progress.summary()}\n`);
    process.exitCode = code;
  }
}
