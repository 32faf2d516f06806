/** Stopping and starting: data, request ids, calls and sessions under way, health, reflection. */
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath as healthProto } from 'grpc-health-check';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ServerHarness, sparrowError } from './server-harness.ts';

let harness: ServerHarness;
afterEach(async () => {
  await harness[Symbol.asyncDispose]();
});

const id = (sequence: number): { client: Buffer; sequence: number; seen: number } => ({
  client: Buffer.from('a client of ours'),
  sequence,
  seen: 0,
});

describe('a server that is started again', () => {
  it('finds its data and the versions, and says so', async () => {
    harness = await ServerHarness.start();
    expect(harness.server.found).toEqual({ data: false, replayedEntries: 0 });
    const { version } = await harness.put('k', 'v');
    await harness.put('large', Buffer.alloc(3 << 20, 'l'));
    await harness.restart();
    expect(harness.server.found.data).toBe(true);
    expect(await harness.get('k')).toEqual({ found: true, value: Buffer.from('v'), version });
    expect((await harness.get('large')).value.equals(Buffer.alloc(3 << 20, 'l'))).toBe(true);
  });

  it('applies an identified write once', async () => {
    harness = await ServerHarness.start();
    const first = await harness.put('k', 'one', id(1));
    await harness.put('k', 'two', id(2));
    expect(await harness.put('k', 'one', id(1))).toEqual(first);
    await harness.restart();
    expect(await harness.put('k', 'one', id(1))).toEqual(first);
    expect((await harness.get('k')).value.toString()).toBe('two');
    expect((await harness.put('k', 'three', id(3))).version).toBeGreaterThan(first.version);
  });
});

describe('a server that stops', () => {
  it('finishes what it was asked, and is gone within five seconds', async () => {
    harness = await ServerHarness.start();
    const session = harness.kv.session();
    const sessionEnded = new Promise((resolve) => session.on('error', (error) => resolve(sparrowError(error as never))));
    await new Promise((greeted) => session.once('data', greeted));
    session.on('data', () => undefined);
    const puts = Array.from({ length: 200 }, (_, i) => harness.put(`k${i}`, 'v'.repeat(1000)));
    await puts[0];
    const begun = performance.now();
    const results = Promise.allSettled(puts);
    await harness.server.close();
    // By its own limits; what comes on top is the machine's.
    expect(performance.now() - begun).toBeLessThan(9000);
    expect(await sessionEnded).toMatchObject({ kind: 'unavailable', code: 'SHUTTING_DOWN' });
    const acknowledged = (await results).map(({ status }) => status === 'fulfilled');
    await harness.start();
    for (const [i, known] of acknowledged.entries()) if (known) expect((await harness.get(`k${i}`)).found).toBe(true);
    expect(acknowledged.filter(Boolean).length).toBeGreaterThan(0);
  });

  it('at once keeps what it acknowledged', async () => {
    harness = await ServerHarness.start();
    await harness.put('k', 'v');
    harness.server.abort();
    await expect(harness.put('x', 'v')).rejects.toMatchObject({ kind: 'unavailable' });
    await harness.server.close();
    await harness.start();
    expect((await harness.get('k')).value.toString()).toBe('v');
  });
});

interface HealthClient {
  check(request: { service: string }, done: (error: Error | null, answer: { status: string }) => void): void;
  close(): void;
}

interface ReflectionStream {
  write(request: unknown): void;
  on(event: 'data', listener: (answer: Record<string, never>) => void): void;
  end(): void;
}

describe('any gRPC client', () => {
  it('can ask for health', async () => {
    harness = await ServerHarness.start();
    const loaded = loadPackageDefinition(loadSync(healthProto, { enums: String })) as never as {
      grpc: { health: { v1: { Health: new (address: string, credentials: unknown) => HealthClient } } };
    };
    const client = new loaded.grpc.health.v1.Health(harness.server.address, credentials.createInsecure());
    for (const service of ['', 'sparrowkv.v1.Kv', 'sparrowkv.v1.Admin']) {
      const answer = await new Promise<{ status: string }>((resolve, reject) =>
        client.check({ service }, (error, answer) => (error ? reject(error) : resolve(answer))),
      );
      expect(answer.status).toBe('SERVING');
    }
    client.close();
  });

  it('can ask what there is', async () => {
    harness = await ServerHarness.start();
    const reflection = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));
    const loaded = loadPackageDefinition(loadSync(join(reflection, 'build/proto/grpc/reflection/v1/reflection.proto'))) as never as {
      grpc: {
        reflection: {
          v1: {
            ServerReflection: new (address: string, credentials: unknown) => { ServerReflectionInfo(): ReflectionStream; close(): void };
          };
        };
      };
    };
    const client = new loaded.grpc.reflection.v1.ServerReflection(harness.server.address, credentials.createInsecure());
    const stream = client.ServerReflectionInfo();
    const ask = (request: object): Promise<Record<string, never>> =>
      new Promise((resolve) => {
        stream.on('data', resolve);
        stream.write(request);
      });
    const { listServicesResponse } = await ask({ listServices: '' });
    expect((listServicesResponse as { service: { name: string }[] }).service.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['sparrowkv.v1.Kv', 'sparrowkv.v1.Admin']),
    );
    stream.end();
    client.close();
  });
});
