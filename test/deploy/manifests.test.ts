/**
 * What deploy/ says fits together, and fits the program: its options are options of `sparrowkv server`, ports and volumes are those that are used, each
 * zone comes from somewhere. Nothing here runs a container: that is checked for shape only.
 */
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { addServer } from '../../cli/commands/server.ts';
import { addStatus } from '../../cli/commands/status.ts';
import { parseClusterList, resolveSettings, type ServerSettings } from '../../server/index.ts';
import { ROOT } from '../project-files.ts';

const PORTS = { grpc: 7400, peer: 7401, metrics: 7402 };
const DATA = '/var/lib/sparrowkv';
const USER = 10001;

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const scratch = mkdtempSync(join(tmpdir(), 'sparrowkv-deploy-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Settings as the program makes them of a command line; throws for what it does not know. */
async function settingsOf(operands: readonly string[]): Promise<ServerSettings> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  addServer(program);
  const [command] = program.commands;
  let options: Record<string, unknown> = {};
  command!.exitOverride().action((given: Record<string, unknown>) => void (options = given));
  await program.parseAsync(['node', 'sparrowkv', ...operands]);
  const { cluster, label, ...rest } = options as { cluster?: string; label?: Record<string, string> };
  return resolveSettings({
    data: DATA,
    ...rest,
    ...(cluster === undefined ? {} : { cluster: parseClusterList(cluster) }),
    ...(label === undefined ? {} : { labels: label }),
  });
}

function expectPorts({ listen, peerListen, metricsAddress }: ServerSettings): void {
  const ports = [listen, peerListen, metricsAddress].map((address) => Number(address?.split(':').at(-1)));
  expect(ports).toEqual([PORTS.grpc, PORTS.peer, PORTS.metrics]);
}

describe('Dockerfile', () => {
  const lines = read('deploy/Dockerfile')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const of = (instruction: string): string[] =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1).trim());

  it('builds in one stage and runs in another, with the Node of the project', () => {
    const node = read('.node-version').trim();
    expect(of('FROM')).toEqual([`node:${node}-bookworm-slim AS build`, `node:${node}-bookworm-slim`]);
    const copied = of('COPY').filter((line) => line.startsWith('--from=build'));
    expect(copied.join(' ')).toMatch(/dist.*\.\/dist/);
    expect(read('deploy/Dockerfile.dockerignore').split('\n')).toEqual(expect.arrayContaining(['.git', '**/node_modules', 'dist']));
  });

  it('runs as nobody in particular, on a volume that is its own', () => {
    expect(of('USER')).toEqual([`${USER}:${USER}`]);
    expect(of('VOLUME')).toEqual([DATA]);
    expect(of('RUN').join(' ')).toContain(`--uid ${USER}`);
    expect(of('EXPOSE')).toEqual([Object.values(PORTS).join(' ')]);
  });

  it('starts a server that the command line accepts, and asks it how it is', async () => {
    const [command] = of('CMD')
      .slice(-1)
      .map((json) => JSON.parse(json) as string[]);
    const settings = await settingsOf(command!);
    expect([settings.data, settings.listen, settings.metricsAddress]).toEqual([DATA, '0.0.0.0:7400', '0.0.0.0:7402']);
    const health = JSON.parse(/CMD (\[.*\])$/.exec(of('HEALTHCHECK')[0]!)![1]!) as string[];
    const program = new Command();
    addStatus(program);
    const status = program.commands[0]!;
    expect([health[0], health[1]]).toEqual(['sparrowkv', status.name()]);
    for (const option of health.filter((operand) => operand.startsWith('--')))
      expect(status.options.map(({ long }) => long)).toContain(option);
  });
});

describe('compose.yaml', () => {
  interface Service {
    readonly command: string[];
    readonly ports: string[];
    readonly volumes: string[];
    readonly build?: { readonly context: string; readonly dockerfile: string };
    readonly image: string;
  }
  const { services, volumes } = parse(read('deploy/compose.yaml'), { merge: true }) as {
    services: Record<string, Service>;
    volumes: Record<string, unknown>;
  };

  it('has three nodes of one cluster in three zones, each with data of its own', async () => {
    const settings = await Promise.all(Object.values(services).map(({ command }) => settingsOf(command)));
    expect(settings.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3]);
    expect(new Set(settings.map(({ zone }) => zone)).size).toBe(3);
    expect(new Set(settings.map(({ cluster }) => JSON.stringify(cluster))).size).toBe(1);
    for (const each of settings) {
      expectPorts(each);
      expect(each.data).toBe(DATA);
    }
    for (const [name, { nodeId, cluster }] of Object.keys(services).map((name, i) => [name, settings[i]!] as const))
      expect(cluster![nodeId!]).toEqual({ address: `${name}:7400`, peerAddress: `${name}:7401` });
    const mounted = Object.values(services).map((service) => service.volumes.map((volume) => volume.split(':')));
    expect(mounted.map(([volume]) => volume![1])).toEqual([DATA, DATA, DATA]);
    expect(mounted.map(([volume]) => volume![0])).toEqual(Object.keys(volumes));
  });

  it('shows dashboards on this machine only, and builds the image once', () => {
    const published = Object.values(services).flatMap(({ ports }) => ports);
    expect(published.every((port) => /^127\.0\.0\.1:\d+:7402$/.test(port))).toBe(true);
    expect(new Set(published).size).toBe(3);
    expect(Object.values(services).filter(({ build }) => build !== undefined)).toMatchObject([
      { build: { context: '..', dockerfile: 'deploy/Dockerfile' } },
    ]);
    expect(new Set(Object.values(services).map(({ image }) => image))).toEqual(new Set(['sparrowkv']));
  });
});

describe('kubernetes.yaml', () => {
  interface Container {
    readonly name: string;
    readonly image: string;
    readonly command: string[];
    readonly args: string[];
    readonly env: { name: string; value?: string; valueFrom?: unknown }[];
    readonly ports: { name: string; containerPort: number }[];
    readonly volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
    readonly securityContext: Record<string, unknown>;
    readonly [probe: `${string}Probe`]: { grpc: { port: number }; periodSeconds: number; failureThreshold: number };
  }
  // Each kind of thing is looked into in its own way.
  // eslint-disable-next-line typescript/no-explicit-any
  const documents = parseAllDocuments(read('deploy/kubernetes.yaml')).map((document) => document.toJS() as Record<string, any>);
  const of = (kind: string, name = 'sparrowkv'): (typeof documents)[number] =>
    documents.find((document) => document['kind'] === kind && document['metadata'].name === name)!;
  const set = of('StatefulSet')['spec'];
  const pod = set.template.spec;
  const [server] = pod.containers as Container[];
  const [zone] = pod.initContainers as Container[];
  const labels = set.template.metadata.labels as Record<string, string>;

  it('has what a cluster needs, all in one namespace', () => {
    expect(documents.map((document) => document['kind'])).toEqual([
      'Namespace',
      'Service',
      'Service',
      'PodDisruptionBudget',
      'ServiceAccount',
      'ClusterRole',
      'ClusterRoleBinding',
      'StatefulSet',
    ]);
    const spaces = documents.filter(({ kind }) => !['Namespace', 'ClusterRole', 'ClusterRoleBinding'].includes(String(kind)));
    expect(new Set(spaces.map((document) => document['metadata'].namespace))).toEqual(new Set(['sparrowkv']));
    for (const selector of [
      set.selector.matchLabels,
      of('Service')['spec'].selector,
      of('Service', 'sparrowkv-client')['spec'].selector,
      of('PodDisruptionBudget')['spec'].selector.matchLabels,
    ])
      expect(selector).toEqual(labels);
  });

  it('gives pods names that can be found before they are ready, and takes one away at a time', () => {
    const service = of('Service')['spec'];
    expect([set.serviceName, service.clusterIP, service.publishNotReadyAddresses]).toEqual(['sparrowkv', 'None', true]);
    expect(Object.fromEntries(service.ports.map(({ name, port }: { name: string; port: number }) => [name, port]))).toEqual(PORTS);
    expect(Object.fromEntries(server!.ports.map(({ name, containerPort }) => [name, containerPort]))).toEqual(PORTS);
    expect(of('PodDisruptionBudget')['spec'].maxUnavailable).toBe(1);
    expect([set.podManagementPolicy, set.updateStrategy.type, set.minReadySeconds > 0]).toEqual(['Parallel', 'RollingUpdate', true]);
  });

  it('probes the health service: long at the start, soon for traffic, late for a restart', () => {
    const { startupProbe, readinessProbe, livenessProbe } = server!;
    for (const probe of [startupProbe, readinessProbe, livenessProbe]) expect(probe!.grpc).toEqual({ port: PORTS.grpc });
    const seconds = [startupProbe, livenessProbe, readinessProbe].map((probe) => probe!.periodSeconds * probe!.failureThreshold);
    expect(seconds).toEqual(seconds.toSorted((a, b) => b - a));
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(5);
  });

  it('keeps data on a claim, and runs as the user of the image without privileges', () => {
    const [claim] = set.volumeClaimTemplates;
    const known = new Set([claim.metadata.name, ...pod.volumes.map(({ name }: { name: string }) => name)]);
    for (const { volumeMounts, image, securityContext } of [server!, zone!]) {
      expect(volumeMounts.filter(({ name }) => !known.has(name))).toEqual([]);
      expect(image).toBe('sparrowkv');
      expect(securityContext).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
    }
    expect(server!.volumeMounts.find(({ name }) => name === claim.metadata.name)?.mountPath).toBe(DATA);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: USER, fsGroup: USER });
  });

  /** What the container's shell would run, with `sparrowkv` a program that prints what it was given, but for `cluster nodes`: fails without an answer to that. */
  function startOf(podName: string, { nodes, directory }: { nodes?: object[]; directory?: object } = {}): string[] {
    const bin = join(scratch, 'sparrowkv');
    const survey = join(scratch, 'nodes');
    const identity = join(scratch, 'node.json');
    for (const [file, content] of [[survey, nodes] as const, [identity, directory] as const]) {
      rmSync(file, { force: true });
      if (content !== undefined) writeFileSync(file, JSON.stringify(content));
    }
    writeFileSync(bin, `#!/bin/sh\n[ "$1" = cluster ] && exec cat '${survey}'\nfor operand in "$@"; do echo "$operand"; done\n`);
    chmodSync(bin, 0o755);
    writeFileSync(join(scratch, 'zone'), 'eu-1a');
    const env: Record<string, string> = { PATH: `${scratch}:${dirname(process.execPath)}:${process.env['PATH']}`, POD: podName };
    for (const { name, value } of server!.env)
      if (value !== undefined) env[name] = value.replaceAll(/\$\((\w+)\)/g, (_, other: string) => env[other]!);
    const script = server!.args[0]!.replaceAll('/topology/zone', join(scratch, 'zone')).replaceAll(`${DATA}/node.json`, identity);
    return execFileSync(server!.command[0]!, [...server!.command.slice(1), script], { env, encoding: 'utf8', stdio: 'pipe' })
      .trimEnd()
      .split('\n');
  }

  it('starts each pod as the node of its number, in the zone of its machine', async () => {
    const settings = await Promise.all(['sparrowkv-0', 'sparrowkv-1', 'sparrowkv-2'].map((name) => settingsOf(startOf(name))));
    expect(settings.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3]);
    expect(new Set(settings.map(({ cluster }) => JSON.stringify(cluster))).size).toBe(1);
    for (const each of settings) {
      expectPorts(each);
      expect([each.data, each.zone]).toEqual([DATA, 'eu-1a']);
      expect(each.cluster![each.nodeId!]!.address).toBe(`sparrowkv-${each.nodeId! - 1}.${set.serviceName}.sparrowkv.svc:7400`);
    }
    expect(Object.keys(settings[0]!.cluster!).length).toBe(set.replicas);
  });

  it('has further pods join', async () => {
    const settings = await settingsOf(startOf('sparrowkv-11', { nodes: [{ entry: { node: 1 }, state: 'up' }] }));
    expect([settings.nodeId, settings.join, settings.cluster]).toEqual([12, 'sparrowkv-0.sparrowkv.sparrowkv.svc:7400', undefined]);
    expect([settings.listen, settings.peerListen]).toEqual([
      'sparrowkv-11.sparrowkv.sparrowkv.svc:7400',
      'sparrowkv-11.sparrowkv.sparrowkv.svc:7401',
    ]);
  });

  it('has a pod whose node was removed come back as another one, and never asks others who it is when its directory says so', async () => {
    const idOf = async (given: Parameters<typeof startOf>[1]): Promise<number | undefined> =>
      (await settingsOf(startOf('sparrowkv-4', given))).nodeId;
    const removed = [5, 1005].map((node) => ({ entry: { node }, state: 'removed' }));
    expect(await idOf({ nodes: [{ entry: { node: 5 }, state: 'down' }, removed[1]!] })).toBe(5);
    expect(await idOf({ nodes: removed.slice(0, 1) })).toBe(1005);
    expect(await idOf({ nodes: removed })).toBe(2005);
    expect(await idOf({ directory: { format: 1, nodeId: 1005 } })).toBe(1005);
    expect(() => startOf('sparrowkv-4')).toThrow('Command failed');
  });

  it('asks the API for the zone of the machine, as it may', async () => {
    expect(of('ClusterRole', 'sparrowkv-zone')['rules']).toEqual([{ apiGroups: [''], resources: ['nodes'], verbs: ['get'] }]);
    expect(of('ClusterRoleBinding', 'sparrowkv-zone')['subjects']).toEqual([
      { kind: 'ServiceAccount', name: pod.serviceAccountName, namespace: 'sparrowkv' },
    ]);
    const machines = new Map([
      ['machine-1', { metadata: { labels: { 'topology.kubernetes.io/zone': 'eu-1b' } } }],
      ['machine-2', { metadata: { labels: {} } }],
    ]);
    const api = createServer((request, response) => {
      const machine = machines.get(/^\/api\/v1\/nodes\/([\w-]+)$/.exec(request.url ?? '')?.[1] ?? '');
      const allowed = request.headers.authorization === 'Bearer secret';
      response.writeHead(!allowed ? 403 : machine === undefined ? 404 : 200).end(JSON.stringify(machine ?? {}));
    });
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    try {
      writeFileSync(join(scratch, 'token'), 'secret\n');
      const zoneOf = async (machine: string): Promise<string> => {
        const file = join(scratch, `zone-${machine}`);
        const env = {
          API: `http://127.0.0.1:${(api.address() as AddressInfo).port}`,
          MACHINE: machine,
          TOKEN_FILE: join(scratch, 'token'),
          ZONE_FILE: file,
        };
        await promisify(execFile)(process.execPath, [...zone!.command.slice(1), ...zone!.args], { env });
        return readFileSync(file, 'utf8');
      };
      expect([await zoneOf('machine-1'), await zoneOf('machine-2')]).toEqual(['eu-1b', 'machine-2']);
      await expect(zoneOf('machine-3')).rejects.toThrow('404 for machine machine-3');
    } finally {
      api.close();
    }
  });
});
