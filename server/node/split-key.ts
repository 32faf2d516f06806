/**
 * Where a shard of a range is divided in its middle, without reading it: tables tell where about half of the bytes lie before a key. What is read is the
 * keys of the one table that lies across that place, as far as `KEYS_MAX` goes.
 *
 *   tables in the order of their first keys:   |--- 30 MB ---|-- 20 MB --|------ 60 MB ------|-- 8 MB --|
 *                                              half of 118 MB is 59 MB:       ^ 9 of 60 MB into this one: a seventh of its keys
 *
 * Used by whoever carries out a split. Calls the engine.
 */
import type { HostedEngine, TableSpan } from '../../engine/index.ts';
import { engineRange, successor, userKey } from './keys.ts';
import type { Replica } from './replica.ts';

const KEYS_MAX = 65_536;

/** A user's key with about half of the shard's bytes before it, and keys on both sides; undefined: there is none, or the shard is divided by hash. */
export async function middleKey(replica: Pick<Replica, 'engine' | 'flush' | 'shard'>): Promise<Uint8Array | undefined> {
  const { keys } = replica.shard.descriptor;
  if (keys.kind === 'hash') return undefined;
  await replica.flush();
  const { engine } = replica;
  const { start, end } = engineRange({ gte: keys.start, lt: keys.end });
  const across = tableAcross(engine.tableSpans(), start, end);
  if (across === undefined) return undefined;
  const found = await keysOf(engine, across.from, across.to, end);
  // The first key of all would leave nothing before it.
  const first = await firstKey(engine, start, end);
  if (first === undefined) return undefined;
  const candidates = found.filter((key) => Buffer.compare(key, first) > 0);
  const chosen = candidates[Math.min(candidates.length - 1, Math.floor(candidates.length * across.part))];
  const key = chosen ?? (await firstKey(engine, successor(first), end));
  return key && Uint8Array.from(userKey(key));
}

/** The table that has the byte in the middle, clipped to the range, and how much of it lies before. Pure. */
export function tableAcross(
  spans: readonly TableSpan[],
  start: Uint8Array,
  end: Uint8Array,
): { from: Uint8Array; to: Uint8Array; part: number } | undefined {
  const within = spans
    .filter(({ smallest, largest }) => Buffer.compare(largest, start) >= 0 && Buffer.compare(smallest, end) < 0)
    .map((span) => ({ ...span, smallest: Buffer.compare(span.smallest, start) < 0 ? start : span.smallest }))
    .sort((a, b) => Buffer.compare(a.smallest, b.smallest));
  const half = within.reduce((sum, { bytes }) => sum + bytes, 0) / 2;
  let before = 0;
  for (const { smallest, largest, bytes } of within) {
    if (before + bytes >= half) return { from: smallest, to: largest, part: bytes === 0 ? 0 : (half - before) / bytes };
    before += bytes;
  }
  return undefined;
}

async function keysOf(engine: HostedEngine, from: Uint8Array, to: Uint8Array, end: Uint8Array): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  const behind = successor(to);
  const lt = Buffer.compare(behind, end) < 0 ? behind : end;
  for await (const [key] of engine.scan({ gte: from, lt, limit: KEYS_MAX, keysOnly: true })) found.push(Uint8Array.from(key));
  return found;
}

async function firstKey(engine: HostedEngine, start: Uint8Array, end: Uint8Array): Promise<Uint8Array | undefined> {
  for await (const [key] of engine.scan({ gte: start, lt: end, limit: 1, keysOnly: true })) return Uint8Array.from(key);
  return undefined;
}
