/** The dashboard of real servers: every node shows the same cluster, whoever leads the metaserver, and goes on when that one is gone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterView, ProblemView } from '../../server/dashboard/cluster-view.ts';
import { BROWSER, type Browser, startBrowser } from '../server/dashboard/chromium.ts';
import { startServer } from '../../server/index.ts';
import { TestCluster } from '../server/test-cluster.ts';
import { unusedPorts } from '../unused-ports.ts';
import { ServerHarness } from './server-harness.ts';

const WAIT = { interval: 100 };

async function viewFrom(address: string): Promise<ClusterView | undefined> {
  const answer = (await (await fetch(`http://${address}/api/cluster`)).json()) as ClusterView | ProblemView;
  return 'error' in answer ? undefined : answer;
}

describe('the dashboard of one process', () => {
  it('shows it as a cluster of one', async () => {
    await using harness = await ServerHarness.start({ metricsAddress: '127.0.0.1:0', zone: 'attic' });
    const address = harness.server.metricsAddress!;
    await expect.poll(async () => (await viewFrom(address))?.nodes.map(({ state }) => state), WAIT).toEqual(['up']);
    const view = (await viewFrom(address))!;
    expect(view.nodes[0]).toMatchObject({ id: 1, zone: 'attic', role: 'all', release: view.release });
    expect(view.tables.map(({ name }) => name)).toContain('default');
    expect(view.leader).toBe(1);
    expect((await fetch(`http://${address}/`)).url).toBe(`http://${address}/dashboard`);
  });
});

describe('the dashboard of three nodes', () => {
  let cluster: TestCluster;
  let addresses: string[];
  let browser: Browser | undefined;

  beforeAll(async () => {
    cluster = await TestCluster.start(3, { metricsAddress: '127.0.0.1:0' });
    addresses = cluster.ids.map((id) => cluster.server(id).metricsAddress!);
    browser = BROWSER === undefined ? undefined : await startBrowser();
  });
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  const views = (from: readonly string[]): Promise<(ClusterView | undefined)[]> => Promise.all(from.map(viewFrom));
  const states = async (from: readonly string[]): Promise<string[]> =>
    (await views(from)).map((view) => (view === undefined ? '-' : view.nodes.map(({ state }) => state).join(' ')));

  it('is the same at each, with figures of whoever leads the metaserver', async () => {
    await expect.poll(() => states(addresses), WAIT).toEqual(Array(3).fill('up up up'));
    const seen = (await views(addresses)).map((view) => view!);
    expect(new Set(seen.map(({ leader }) => leader)).size).toBe(1);
    expect(seen.map(({ answeredBy }) => answeredBy)).toEqual([1, 2, 3]);
    for (const { shards } of seen)
      for (const { replicas } of shards) expect(new Set(replicas.map(({ node }) => node))).toEqual(new Set([1, 2, 3]));
  });

  it('has the history of whoever leads the metaserver at each, also where nobody has looked before', async () => {
    const { leader } = (await viewFrom(addresses[0]!))!;
    const points = async (address: string): Promise<number[]> => (await viewFrom(address))?.history.points.map(({ atMs }) => atMs) ?? [];
    await expect.poll(async () => (await points(addresses[leader - 1]!)).length, WAIT).toBeGreaterThan(1);
    const first = (await points(addresses[leader - 1]!))[0]!;
    const [listen, metrics] = (await unusedPorts(2)).map((port) => `127.0.0.1:${port}`);
    const join = cluster.nodes[1]!.address;
    await using proxy = await startServer({ role: 'proxy', join, listen: listen!, metricsAddress: metrics!, logLevel: 'silent' });
    await expect.poll(async () => (await points(proxy.metricsAddress!))[0], WAIT).toBe(first);
  });

  it('is drawn by a browser, from real figures', async (context) => {
    if (browser === undefined) return context.skip('there is no browser (apt-get install chromium)');
    const page = await browser.context.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(`http://${addresses[1]}/dashboard`);
    await page.waitForSelector('.node[data-look="up"] >> nth=2');
    expect(await page.locator('.node .badge:visible').count()).toBe(1);
    expect(await page.locator('#shard-map [data-shard]').count()).toBeGreaterThanOrEqual(1);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('is at a proxy, too', async () => {
    const [listen, metrics] = (await unusedPorts(2)).map((port) => `127.0.0.1:${port}`);
    const join = cluster.nodes[3]!.address;
    await using proxy = await startServer({ role: 'proxy', join, listen: listen!, metricsAddress: metrics!, logLevel: 'silent' });
    expect(await viewFrom(proxy.metricsAddress!)).toMatchObject({ answeredBy: 0, nodes: [{ id: 1 }, { id: 2 }, { id: 3 }] });
  });

  it('goes on when the node that leads the metaserver is gone', async () => {
    const leader = (await viewFrom(addresses[0]!))!.leader;
    await cluster.stop(leader);
    const left = cluster.ids.filter((id) => id !== leader);
    const others = left.map((id) => addresses[id - 1]!);
    await expect.poll(async () => (await views(others)).map((view) => left.includes(view?.leader ?? 0)), WAIT).toEqual([true, true]);
  });
});
