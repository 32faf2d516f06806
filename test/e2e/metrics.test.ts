/** GET /metrics of a real server: the format, and figures that follow what is done to it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../client/index.ts';
import { http, parse, type Scraped } from '../server/metrics/scrape.ts';
import { ServerHarness } from './server-harness.ts';

let harness: ServerHarness;

beforeAll(async () => {
  harness = await ServerHarness.start({ metricsAddress: '127.0.0.1:0' });
});

afterAll(() => harness[Symbol.asyncDispose]());

async function scrape(): Promise<Scraped> {
  const { status, type, body } = await http(harness.server.metricsAddress!);
  expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  return parse(body);
}

describe('GET /metrics', () => {
  it('has the engine, the replica, the gateway and the process, in the format of Prometheus', async () => {
    const { types, values } = await scrape();
    expect(types.size).toBeGreaterThan(70);
    for (const part of ['sparrowkv_engine_', 'sparrowkv_raft_', 'sparrowkv_gateway_', 'process_', 'nodejs_']) {
      expect([...types.keys()].filter((name) => name.startsWith(part)).length).toBeGreaterThan(2);
    }
    expect(values.get('sparrowkv_serving')).toBe(1);
    expect(values.get('sparrowkv_raft_leader{shard="1"}')).toBe(1);
    expect(values.get('process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
    expect(Math.abs(values.get('process_start_time_seconds')! + process.uptime() - Date.now() / 1000)).toBeLessThan(2);
  });

  it('counts plain calls and those of sessions, refused ones by what the client got', async () => {
    const before = (await scrape()).values;
    const grown = (after: Scraped, name: string): number => after.values.get(name)! - (before.get(name) ?? 0);
    await harness.put('plain', 'x'.repeat(1000));
    await harness.get('plain');
    await expect(harness.put('', 'x')).rejects.toMatchObject({ code: 'KEY_EMPTY' });
    await using client = connect(harness.server.address);
    await Promise.all(Array.from({ length: 50 }, (_, i) => client.put(`session/${i}`, 'y'.repeat(2000))));
    await client.get('session/1');
    await client.multiGet(['session/1', 'none']);
    for await (const _ of client.scan({ prefix: 'session/' }));
    const after = await scrape();
    const calls = (method: string, outcome: string): string => `sparrowkv_gateway_calls_total{method="${method}",outcome="${outcome}"}`;
    expect(grown(after, calls('put', 'answered'))).toBe(51);
    expect(grown(after, calls('put', 'invalid'))).toBe(1);
    expect(grown(after, calls('get', 'answered'))).toBe(2);
    expect(grown(after, calls('multi_get', 'answered'))).toBe(1);
    expect(grown(after, calls('scan', 'answered'))).toBe(1);
    expect(grown(after, 'sparrowkv_gateway_received_bytes_total')).toBeGreaterThan(101_000);
    expect(grown(after, 'sparrowkv_gateway_sent_bytes_total')).toBeGreaterThan(101_000);
    expect(after.values.get('sparrowkv_gateway_sessions')).toBe(1);
    expect(after.values.get('sparrowkv_gateway_connections')).toBeGreaterThan(1);
    expect(after.values.get('sparrowkv_gateway_calls_in_flight')).toBe(0);
    // Each put is one entry of the Raft log, and in the engine a record beside that of its request id.
    expect(grown(after, 'sparrowkv_raft_index{shard="1",of="applied"}')).toBe(51);
    expect(grown(after, 'sparrowkv_engine_write_operations_total')).toBeGreaterThanOrEqual(51);
    expect(grown(after, 'sparrowkv_engine_user_bytes_total')).toBeGreaterThan(101_000);
    expect(grown(after, 'sparrowkv_raft_log_written_bytes_total')).toBeGreaterThan(101_000);
    expect(after.values.get('sparrowkv_engine_disk_bytes')).toBeGreaterThan(0);
  });

  it('answers nothing else', async () => {
    const address = harness.server.metricsAddress!;
    expect(await http(address, '/elsewhere')).toMatchObject({
      status: 404,
      body: 'metrics are at /metrics, the dashboard at /dashboard\n',
    });
    expect(await http(address, '/')).toMatchObject({ status: 302 });
    expect(await http(address, '/metrics', 'POST')).toMatchObject({ status: 405 });
    expect(await http(address, '/metrics', 'HEAD')).toMatchObject({ status: 200, body: '' });
    expect(await http(address, '/metrics?x=1')).toMatchObject({ status: 200 });
  });
});

describe('the address of metrics', () => {
  it('is nowhere unless it is set', async () => {
    await using plain = await ServerHarness.start();
    expect(plain.server.metricsAddress).toBeUndefined();
  });

  it('must be free, and a server that cannot have it leaves nothing open', async () => {
    const taken = harness.server.metricsAddress!;
    await expect(ServerHarness.start({ metricsAddress: taken })).rejects.toMatchObject({
      code: 'LISTEN',
      message: expect.stringContaining(`cannot listen on ${taken}`),
    });
    await expect(ServerHarness.start({ metricsAddress: 'here' })).rejects.toMatchObject({ details: { field: 'metricsAddress' } });
  });

  it('is let go of when the server stops', async () => {
    const stopping = await ServerHarness.start({ metricsAddress: '127.0.0.1:0' });
    const address = stopping.server.metricsAddress!;
    expect((await http(address)).status).toBe(200);
    await stopping[Symbol.asyncDispose]();
    await expect(http(address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
