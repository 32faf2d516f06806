/** The dashboard as a server: what it answers to whom, and how often it asks the metaserver. */
import { readdirSync, readFileSync } from 'node:fs';
import { get, type IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import type { ClusterView, HistoryPoint } from '../../../server/dashboard/cluster-view.ts';
import { History, POINTS_MAX, pointOf, spreadOf } from '../../../server/dashboard/history.ts';
import { textOfKeys } from '../../../server/dashboard/key-text.ts';
import { SHARDS_SHOWN_MAX, viewOfSurvey } from '../../../server/dashboard/view-of-survey.ts';
import { ROOT } from '../../project-files.ts';
import { fakeSurvey, loseNode } from './fake-cluster.ts';
import { type Served, serveFake } from './serve-fake.ts';

const PAGE = join(ROOT, 'server/dashboard/page');

let served: Served;
beforeAll(async () => {
  served = await serveFake(fakeSurvey({ nodes: 3, zones: 3, shards: 3 }));
});
afterAll(() => served.close());

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function ask(path: string, { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = get(`http://${served.address}${path}`, { method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }));
    });
    request.on('error', reject);
  });
}

describe('the page', () => {
  it('comes with a policy that lets it load nothing from elsewhere and run no script but its own', async () => {
    const { status, headers, body } = await ask('/dashboard');
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'; .*frame-ancestors 'none'$/,
    );
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(body.toString()).toContain('<title>SparrowKV</title>');
  });

  it('has all that it names, and says the right type of each', async () => {
    const names = [...(await ask('/dashboard')).body.toString().matchAll(/(?:src|href)="(\/dashboard\/[^"]+)"/g)].map(([, name]) => name!);
    expect(names.length).toBeGreaterThanOrEqual(4);
    const types = await Promise.all(names.map(async (name) => [(await ask(name)).status, (await ask(name)).headers['content-type']]));
    for (const [status, type] of types)
      expect([status, type]).toEqual([200, expect.stringMatching(/^(?:text\/(?:css|javascript); charset=utf-8|image\/svg\+xml)$/)]);
  });

  it('is not sent again to who has it', async () => {
    const { headers } = await ask('/dashboard/style.css');
    expect(await ask('/dashboard/style.css', { headers: { 'If-None-Match': headers.etag! } })).toMatchObject({
      status: 304,
      body: Buffer.alloc(0),
    });
  });

  it('is all there is: nothing else of the disk, nothing but reading', async () => {
    for (const path of [
      '/dashboard/../dashboard.ts',
      '/dashboard/%2e%2e/dashboard.ts',
      '/dashboard/tsconfig.json',
      '/dashboard/none.js',
      '/dashboard/a/b',
    ])
      expect([path, (await ask(path)).status]).toEqual([path, 404]);
    expect(await ask('/dashboard', { method: 'POST' })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    expect(await ask('/dashboard', { method: 'HEAD' })).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    expect(await ask('/')).toMatchObject({ status: 302, headers: { location: '/dashboard' } });
    expect((await ask('/elsewhere')).status).toBe(404);
  });

  it('never reads markup out of data, and names no other host', () => {
    for (const name of readdirSync(PAGE)) {
      const text = readFileSync(join(PAGE, name), 'utf8').replaceAll('http://www.w3.org/2000/svg', '');
      expect(name + (/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser/.exec(text)?.[0] ?? '')).toBe(
        name,
      );
      expect(name + (/(?:https?:)?\/\/[\w-]+\.\w+|@import|url\(/.exec(text.replaceAll(/^\s*\/\/.*$/gm, ''))?.[0] ?? '')).toBe(name);
    }
  });
});

describe('/api/cluster', () => {
  it('is the survey as JSON, compressed for who takes that', async () => {
    const { status, headers, body } = await ask('/api/cluster', { headers: { 'Accept-Encoding': 'gzip' } });
    expect([status, headers['content-type'], headers['content-encoding'], headers['cache-control']]).toEqual([
      200,
      'application/json',
      'gzip',
      'no-store',
    ]);
    const view = JSON.parse(gunzipSync(body).toString()) as ClusterView;
    expect(view).toMatchObject({ clusterId: '5ab0c7d1e2f30412', leader: 1, answeredBy: 2, release: '0.1.0', shardsInAll: 3 });
    expect(view.shards.map(({ keys }) => keys)).toEqual([
      'up to "customer/0333333"',
      '"customer/0333333" to "customer/0666666"',
      'from "customer/0666666"',
    ]);
    expect(view.history.points.length).toBe(1);
    expect(JSON.parse((await ask('/api/cluster')).body.toString())).toEqual(view);
  });

  it('has the history since the moment that is named', async () => {
    const { nowMs } = JSON.parse((await ask('/api/cluster')).body.toString()) as ClusterView;
    const { history } = JSON.parse((await ask(`/api/cluster?since=${nowMs}`)).body.toString()) as ClusterView;
    expect(history).toEqual({ everyMs: 5_000, points: [] });
  });

  it('has the hour that who leads the metaserver keeps, also where nobody has looked before, and asks for it once', async () => {
    const survey = fakeSurvey({ nodes: 3, zones: 3, shards: 3 });
    await using late = await serveFake(survey);
    const { history: _, ...now } = (await (await fetch(`http://${late.address}/api/cluster`)).json()) as ClusterView;
    await using other = await serveFake(survey);
    const before = Array.from({ length: POINTS_MAX - 1 }, (__, i) => now.nowMs - (POINTS_MAX - 1 - i) * 5_000);
    other.past = before.map((atMs) => ({ ...pointOf(now), atMs }));
    const seen = async (): Promise<number[]> => {
      const { history } = (await (await fetch(`http://${other.address}/api/cluster`)).json()) as ClusterView;
      return history.points.map(({ atMs }) => atMs);
    };
    expect(await seen()).toEqual([...before, now.nowMs]);
    await expect.poll(async () => ((await seen()).length, other.asked.length)).toBe(2);
    expect(other.asked).toEqual([0, now.nowMs]);
    expect(await seen()).toEqual([...before, now.nowMs]);
  });

  it('asks the metaserver once for many who look at the same time', async () => {
    await using many = await serveFake(fakeSurvey({ nodes: 3, zones: 3, shards: 3 }));
    const { promise, resolve } = Promise.withResolvers<void>();
    many.gate = promise;
    const asked = Array.from({ length: 20 }, () => fetch(`http://${many.address}/api/cluster`));
    await expect.poll(() => many.requests).toBe(20);
    resolve();
    const answers = await Promise.all(asked);
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(many.surveys).toBe(1);
  });

  it('says why there is nothing to show', async () => {
    await using troubled = await serveFake(new SparrowError('unavailable', 'NO_LEADER', 'no node leads the metaserver'));
    const answer = await fetch(`http://${troubled.address}/api/cluster`);
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { error: { code: 'NO_LEADER', message: 'no node leads the metaserver', answeredBy: 2 } },
    ]);
  });
});

describe('a view', () => {
  const viewOf = (survey: Parameters<typeof viewOfSurvey>[0]): ReturnType<typeof viewOfSurvey> =>
    viewOfSurvey(survey, { node: 1, release: '0.1.0' });

  it('sums over tables, and shows the shard of the metaserver as a table of its own', () => {
    const survey = fakeSurvey({ nodes: 3, zones: 3, shards: 30 });
    survey.shards.push({ ...survey.shards[0]!, entry: { ...survey.shards[0]!.entry!, shard: 2, table: 0 } });
    const { tables, shards } = viewOf(survey);
    expect(tables.map(({ id, name, shards }) => [id, name, shards])).toEqual([
      [1, 'default', 1],
      [2, 'orders', 19],
      [3, 'sessions', 10],
      [0, 'system', 1],
    ]);
    expect(tables.map(({ name, durability }) => [name, durability])).toContainEqual(['sessions', 'os']);
    expect(tables[1]!.dataBytes).toBe(shards.filter(({ table }) => table === 2).reduce((sum, { dataBytes }) => sum + dataBytes, 0));
  });

  it('of very many shards has those that need a look in any case', () => {
    const survey = fakeSurvey({ nodes: 30, zones: 3, shards: SHARDS_SHOWN_MAX + 500, calm: true });
    const last = survey.shards.at(-1)!.entry!;
    last.leader = 0;
    loseNode(survey, 7);
    const { shards, shardsInAll } = viewOf(survey);
    expect([shards.length, shardsInAll]).toEqual([SHARDS_SHOWN_MAX, SHARDS_SHOWN_MAX + 500]);
    const there = new Set(shards.map(({ id }) => id));
    const touched = survey.shards.filter(({ replicas }) => replicas.some(({ node }) => node === 7)).map(({ entry }) => entry!.shard);
    expect(touched.length).toBeGreaterThan(100);
    expect([...touched, last.shard].filter((shard) => !there.has(shard))).toEqual([]);
  });

  it('shows keys as text where they are, otherwise as bytes', () => {
    const range = (start: Uint8Array | string, end?: Uint8Array | string): string =>
      textOfKeys({ keys: { $case: 'range', value: { start: Buffer.from(start), end: end === undefined ? undefined : Buffer.from(end) } } });
    expect(range('')).toBe('all keys');
    expect(range('a', 'm"')).toBe('"a" to "m\\""');
    expect(range(Buffer.of(0, 255), 'é')).toBe('0x00ff to "é"');
    expect(range('', Buffer.from('\u202e'))).toBe('up to 0xe280ae');
    expect(range('node/bin/node\0\u0001')).toBe('from "node/bin/node\\x00\\x01"');
    expect(range(Buffer.from([0x61, 0x22, 0x5c, 0xff]))).toBe('from "a\\"\\\\\\xff"');
    expect(range(`a\0${'k'.repeat(100)}`)).toBe(`from "a\\x00${'k'.repeat(46)}..."`);
    expect(range('k'.repeat(100))).toBe(`from "${'k'.repeat(48)}..."`);
    expect(range(Buffer.alloc(100))).toBe(`from 0x${'0'.repeat(48)}...`);
    expect(textOfKeys({ keys: { $case: 'hash', value: { bits: 3, index: 5 } } })).toBe('hash 5 of 8');
    expect(textOfKeys(undefined)).toBe('');
  });
});

describe('history', () => {
  const at = (atMs: number): HistoryPoint => ({
    ...pointOf(viewOfSurvey(fakeSurvey({ nodes: 1, zones: 1, shards: 1 }), { node: 1, release: '' })),
    atMs,
  });

  it('is a point every few seconds, for an hour', () => {
    const history = new History();
    for (let i = 0; i < POINTS_MAX + 10; i++) for (const later of [0, 1_000, 3_000]) history.add(at(i * 5_000 + later));
    const points = history.since(-1);
    expect([points.length, points[0]!.atMs, points.at(-1)!.atMs]).toEqual([POINTS_MAX, 50_000, (POINTS_MAX + 9) * 5_000]);
    expect(history.since(points.at(-3)!.atMs).length).toBe(2);
  });

  it('stays in order when the clock goes back', () => {
    const history = new History();
    for (const atMs of [10_000, 20_000, 30_000, 19_000, 25_000]) history.add(at(atMs));
    expect(history.since(0).map(({ atMs }) => atMs)).toEqual([10_000, 19_000, 25_000]);
  });

  it('has least, mean and most over nodes that hold data', () => {
    expect(spreadOf([3, 1, 5])).toEqual([1, 3, 5]);
    expect(spreadOf([])).toEqual([0, 0, 0]);
    const survey = fakeSurvey({ nodes: 3, zones: 3, shards: 9, calm: true });
    survey.nodes[0]!.state = 'down';
    const point = pointOf(viewOfSurvey(survey, { node: 1, release: '' }));
    const leaders = survey.nodes.slice(1).map(({ leaders }) => leaders);
    expect([point.nodesUp, point.leaders[0], point.leaders[2]]).toEqual([2, Math.min(...leaders), Math.max(...leaders)]);
  });
});
