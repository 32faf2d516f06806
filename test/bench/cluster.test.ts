/** The cluster bench runs from its command line against real servers, compares what it reads, and its results have the shape that is promised. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeDiskPlace } from '../../bench/cluster/disk-place.ts';
import { decodePut, decodeRange, decodeStatus, encodePut, encodeRange } from '../../bench/cluster/etcd-messages.ts';
import { Records } from '../../bench/cluster/records.ts';
import { rowsOf, speeds } from '../../bench/cluster/report.ts';
import { isPartResult, type PartResult } from '../../bench/cluster/part-result.ts';
import { lineOf, type Result } from '../../bench/cluster/result.ts';
import { parseResults } from '../../bench/cluster/results-file.ts';
import { clusterTablesOf, withClusterTables } from '../../bench/cluster/table.ts';
import { ROOT } from '../project-files.ts';

const FIELDS = 'system,api,workload,valueBytes,inFlight,opsPerSec,p50Us,p99Us,cpuUsPerOp,bytesWrittenPerReplica';

function result(api: Result['api'], opsPerSec: number): Result {
  const system = api === 'native' ? 'etcd' : 'sparrowkv';
  const figures = { p50Us: 900, p99Us: 2100, cpuUsPerOp: 41.25, bytesWrittenPerReplica: 230 };
  return { system, api, workload: 'put-100', valueBytes: 100, inFlight: 64, opsPerSec, ...figures };
}

describe('a run', () => {
  let directory = '';
  let results: Result[] = [];

  beforeAll(async () => {
    execFileSync(process.execPath, ['scripts/build.ts', '--if-needed'], { cwd: ROOT, stdio: 'pipe' });
    // Of the repository's disk: the system's temporary directory may be in memory, which is refused.
    mkdirSync(join(ROOT, 'bench/results'), { recursive: true });
    directory = mkdtempSync(join(ROOT, 'bench/results/test-'));
    const file = join(directory, 'results.jsonl');
    const options = [
      '--quick',
      '--seconds',
      '0.2',
      '--only',
      'mix-1k,sparrowkv',
      '--in-flight',
      '1,16',
      '--json',
      file,
      '--dir',
      directory,
    ];
    // A wrong answer or a server that ends is exit code 1, which rejects here with what the run said.
    await promisify(execFile)(process.execPath, ['bench/cluster/run.ts', ...options], { cwd: ROOT });
    results = parseResults(readFileSync(file, 'utf8')).filter((line): line is Result => !isPartResult(line));
  }, 120_000);

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test('has a figure for each way in and each number of calls in flight', () => {
    expect(results.map(({ api, inFlight }) => `${api} ${inFlight}`)).toEqual(['session 1', 'session 16', 'unary 1', 'unary 16']);
    for (const line of results) {
      expect(Object.keys(line).join(',')).toBe(FIELDS);
      expect(line.opsPerSec).toBeGreaterThan(0);
      expect(line.p99Us).toBeGreaterThanOrEqual(line.p50Us);
    }
  });

  test('leaves nothing behind', () => {
    expect(readdirSync(directory)).toEqual(['results.jsonl']);
  });
});

test('a line has the fields that are promised and no others', () => {
  const line = lineOf({ ...result('session', 1), clientCpuUsPerOp: 1, resent: 0 } as Result);
  expect(Object.keys(JSON.parse(line) as object).join(',')).toBe(FIELDS);
});

test('the table compares with etcd, and names the goal where it is missed', () => {
  const rows = rowsOf([result('session', 30_000), result('unary', 12_000), result('native', 10_000)]);
  expect(speeds(rows[0]!)).toEqual(['put 100 B', '64', '30.0k', '12.0k', '10.0k', '3.00x (goal 4x)', '1.20x']);
  expect(speeds(rowsOf([result('session', 30_000)])[0]!).slice(-2)).toEqual(['', '']);
  const tables = clusterTablesOf([result('session', 30_000), result('native', 10_000)], 'a machine');
  expect(tables).toContain('| put 100 B | 64 | 900 us / 2.1 ms |  | 900 us / 2.1 ms | 41.3 us, 41.3 us | 2.30x, 2.30x |');
  const page = withClusterTables(readFileSync(join(ROOT, 'docs/benchmarks.md'), 'utf8'), tables);
  expect(withClusterTables(page, tables)).toBe(page);
});

test('results about shards and nodes have tables of their own', () => {
  const load = { opsPerSec: 2500, p50Us: 900, p99Us: 8000, maxUs: 1_200_000 };
  const { system: _system, api: _api, ...figures } = result('session', 20_000);
  const lines: PartResult[] = [
    { part: 'shards', nodes: 3, shards: 4, ...figures },
    { part: 'shards', nodes: 5, shards: 4, ...figures, opsPerSec: 25_000, cpuUsPerOp: null },
    { part: 'idle', nodes: 3, shards: 256, cpuShare: 0.0125, rssBytes: 140 * 2 ** 20, bytesWrittenPerSec: null },
    {
      ...{ part: 'rebuild', nodes: 4, shards: 8, dataBytes: 2 ** 29, tookMs: 12_340, bytesWritten: 2 ** 30, cpuMs: 3700 },
      ...{ inFlight: 16, before: load, during: { ...load, opsPerSec: 800 } },
    },
  ];
  const tables = clusterTablesOf(parseResults(lines.map((line) => JSON.stringify(line)).join('\n')), 'a machine');
  expect(tables).toContain('| put 100 B | 64 | 4 | 20.0k | 900 us / 2.1 ms | 41 us | 25.0k | 900 us / 2.1 ms | unknown |');
  expect(tables).toContain('| 3 nodes | 256 | 1.25 % | 140 MiB | unknown |');
  expect(tables).toContain(
    '| 1 of 4 | 8 | 512 MiB | 12.3 s | 1.0 GiB | 3.7 s | 2.5k: 900 us / 8.0 ms / 1200.0 ms | 800: 900 us / 8.0 ms / 1200.0 ms |',
  );
});

test('a place in memory, or without room, is refused', () => {
  expect(() => makeDiskPlace('/dev/shm', 0)).toThrow('is in memory');
  expect(() => makeDiskPlace(join(ROOT, 'bench/results'), 2 ** 60)).toThrow('GiB free');
});

test('what is read is compared with what was written last', async () => {
  const records = new Records(4, 100);
  let stored: Buffer | undefined;
  const caller = {
    put: (_: Buffer, value: Buffer) => Promise.resolve((stored = value)),
    get: () => Promise.resolve(stored),
    close: () => Promise.resolve(),
  };
  await records.get(caller, 0);
  await records.put(caller, 0);
  await records.get(caller, 0);
  const before = stored;
  await records.put(caller, 0);
  stored = before;
  await expect(records.get(caller, 0)).rejects.toThrow('something else than the last value');
});

/** The bytes follow from the field numbers of etcd's published API and protobuf's encoding. */
describe("etcd's messages", () => {
  test('are asked as its API has them', () => {
    expect(hex(encodePut(Buffer.from('k'), Buffer.from('vv')))).toBe('0a016b12027676');
    expect(hex(encodeRange(Buffer.from('k')))).toBe('0a016b');
  });

  test('are read, with fields that are not known skipped', () => {
    // header { cluster_id 1, member_id 2^64 - 1, revision 7, raft_term 2 }
    const header = '080110ffffffffffffffffff0118072002';
    const headed = `0a${(header.length / 2).toString(16).padStart(2, '0')}${header}`;
    expect(decodePut(bytes(headed))).toEqual({ memberId: '18446744073709551615', revision: '7' });
    // kvs { key 'k', create_revision 3, mod_revision 4, version 2, value 'vv' }, count 1
    const entry = '0a016b1003180420022a027676';
    expect(Buffer.from(decodeRange(bytes(`${headed}12${(entry.length / 2).toString(16).padStart(2, '0')}${entry}2001`))!).toString()).toBe(
      'vv',
    );
    expect(decodeRange(bytes(headed))).toBeUndefined();
    // version 'x', dbSize 1, leader 2^64 - 1, raftIndex 9
    expect(decodeStatus(bytes(`${headed}120178180120ffffffffffffffffff012809`))).toEqual({
      memberId: '18446744073709551615',
      leader: '18446744073709551615',
    });
    expect(() => decodePut(new Uint8Array(0))).toThrow('without its header');
  });
});

function hex(source: Uint8Array): string {
  return Buffer.from(source).toString('hex');
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'hex');
}
