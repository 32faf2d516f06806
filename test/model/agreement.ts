/** Comparing what the engine says with what the model says, and saying where they differ. */
import type { Entry, ScanOptions } from '../../engine/index.ts';
import { latin1 } from './model.ts';

export class Disagreement extends Error {}

export function expectSame(what: string, found: unknown, wanted: unknown): void {
  if (!Object.is(found, wanted)) throw new Disagreement(`${what}: found ${String(found)}, expected ${String(wanted)}`);
}

export function expectValue(key: Uint8Array, found: Uint8Array | undefined, wanted: Uint8Array | undefined): void {
  if (found === wanted || (found && wanted && Buffer.compare(found, wanted) === 0)) return;
  throw new Disagreement(`key ${nameOf(key)}: found ${String(describe(found))}, expected ${String(describe(wanted))}`);
}

export function expectEntries(options: ScanOptions, found: readonly [string, string][], wanted: readonly [string, string][]): void {
  const what = (): string => `scan ${JSON.stringify({ ...options, snapshot: options.snapshot?.sequence })}`;
  for (let i = 0; i < Math.max(found.length, wanted.length); i++) {
    const [has, should] = [found[i], wanted[i]];
    if (has && should && has[0] === should[0] && has[1] === should[1]) continue;
    expectSame(`${what()}, entry ${i}`, has ? show(has) : 'end', should ? show(should) : 'end');
  }
}

export function entryText([key, value]: Entry): [string, string] {
  return [latin1(key), latin1(value)];
}

export function show([key, value]: [string, string]): string {
  return `${nameOf(key)} = ${value.length > 60 ? `${value.slice(0, 40)}... ${value.length} ${hash(value)}` : JSON.stringify(value)}`;
}

export function nameOf(key: Uint8Array | string): string {
  const text = latin1(key);
  return text.length > 30 ? `${text.slice(0, 10)}...${text.slice(-10)}` : JSON.stringify(text);
}

function describe(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : show(['', latin1(value)]);
}

function hash(text: string): number {
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) | 0;
  return sum >>> 0;
}
