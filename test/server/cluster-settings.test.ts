/** How nodes of a cluster are named, and what that means for each of them. */
import { describe, expect, it } from 'vitest';
import xxhash from 'xxhash-wasm';
import { clusterIdOf } from '../../server/cluster-settings.ts';
import { parseClusterList, resolveSettings, type ServerSettingsInput } from '../../server/index.ts';

const THREE = '1=127.0.0.1:7400/7401,2=127.0.0.1:7410/7411,3=127.0.0.1:7420/10.0.0.3:7421';
const cluster = parseClusterList(THREE);

describe('a list of nodes', () => {
  it('gives each an address for clients and one for other nodes', () => {
    expect(cluster).toEqual({
      1: { address: '127.0.0.1:7400', peerAddress: '127.0.0.1:7401' },
      2: { address: '127.0.0.1:7410', peerAddress: '127.0.0.1:7411' },
      3: { address: '127.0.0.1:7420', peerAddress: '10.0.0.3:7421' },
    });
    expect(parseClusterList('7=[::1]:1/2, 8=db8.example:1/[::2]:2')).toEqual({
      7: { address: '[::1]:1', peerAddress: '[::1]:2' },
      8: { address: 'db8.example:1', peerAddress: '[::2]:2' },
    });
  });

  it.each(['', '1', '1=127.0.0.1:7400', '1=127.0.0.1/7401', 'a=127.0.0.1:7400/7401', '1=h:1/2,', '1=h:1/2,1=h:3/4', '1=h:1/2;2=h:3/4'])(
    'that is none is refused: %j',
    (list) => {
      expect(() => parseClusterList(list)).toThrow(
        expect.objectContaining({ kind: 'invalid', code: 'OPTION_RANGE', details: { field: 'cluster' } }) as Error,
      );
    },
  );

  it('names the cluster: the same on each node, another with another list or name', async () => {
    const { h64Raw } = await xxhash();
    const text = 'test\n1=127.0.0.1:7400/127.0.0.1:7401,2=127.0.0.1:7410/127.0.0.1:7411,3=127.0.0.1:7420/10.0.0.3:7421';
    expect(clusterIdOf(cluster, 'test')).toBe(h64Raw(Buffer.from(text), 0n));
    expect(clusterIdOf(parseClusterList(THREE.split(',').toReversed().join(',')), 'test')).toBe(clusterIdOf(cluster, 'test'));
    expect(clusterIdOf(cluster, '')).not.toBe(clusterIdOf(cluster, 'test'));
    expect(clusterIdOf(parseClusterList(THREE.replace('7411', '7412')), 'test')).not.toBe(clusterIdOf(cluster, 'test'));
  });
});

describe('settings of a node', () => {
  it('listen where the list says, unless they say otherwise', () => {
    const data = '/data';
    expect(resolveSettings({ data, nodeId: 3, cluster })).toMatchObject({
      nodeId: 3,
      listen: '127.0.0.1:7420',
      peerListen: '10.0.0.3:7421',
    });
    const elsewhere = { listen: '0.0.0.0:7420', peerListen: '[::]:7421' };
    expect(resolveSettings({ data, nodeId: 3, cluster, ...elsewhere })).toMatchObject(elsewhere);
    const settings = resolveSettings({ data, nodeId: 2, cluster });
    expect(resolveSettings(settings)).toEqual(settings);
  });

  it('of a node alone have no address for others, unless it is given', () => {
    expect(resolveSettings({ data: '/data' })).toMatchObject({ listen: '127.0.0.1:7400', clusterName: '' });
    expect(resolveSettings({ data: '/data' }).peerListen).toBeUndefined();
    expect(resolveSettings({ data: '/data', nodeId: 7, peerListen: '127.0.0.1:7401' })).toMatchObject({
      nodeId: 7,
      peerListen: '127.0.0.1:7401',
    });
  });

  it.each([
    [{ cluster }, 'nodeId', 'which of the nodes 1, 2, 3'],
    [{ cluster, nodeId: 4 }, 'nodeId', 'the nodes 1, 2, 3, and no node 4'],
    [{ cluster, nodeId: 0 }, 'nodeId', ''],
    [{ cluster: {}, nodeId: 1 }, 'cluster', 'no node'],
    [{ cluster: { a: cluster[1] }, nodeId: 1 }, 'cluster', "not 'a'"],
    [{ cluster: { 4294967296: cluster[1] }, nodeId: 1 }, 'cluster', '4294967295'],
    [{ cluster: { 1: { address: 'h:1' } }, nodeId: 1 }, 'cluster.1.peerAddress', ''],
    [{ cluster: { 1: { address: 'h', peerAddress: 'h:2' } }, nodeId: 1 }, 'cluster.1.address', 'HOST:PORT'],
    [{ cluster: { 1: { address: '0.0.0.0:1', peerAddress: 'h:2' } }, nodeId: 1 }, 'cluster.1.address', 'every address'],
    [{ cluster: { 1: { address: 'h:0', peerAddress: 'h:2' } }, nodeId: 1 }, 'cluster.1.address', 'any port'],
    [{ cluster: { 1: { address: 'h:1', peerAddress: 'h:1' } }, nodeId: 1 }, 'cluster.1.peerAddress', 'cluster.1.address already'],
    [{ cluster: { 1: cluster[1], 2: cluster[1] }, nodeId: 1 }, 'cluster.2.address', 'cluster.1.address already'],
    [{ cluster, nodeId: 1, peerListen: '127.0.0.1' }, 'peerListen', 'HOST:PORT'],
    [{ cluster, nodeId: 1, peerListen: '127.0.0.1:7400' }, 'peerListen', 'another port'],
    [{ peerListen: '0.0.0.0:7401' }, 'peerListen', 'every address'],
    [{ listen: '0.0.0.0:7400', peerListen: '127.0.0.1:7401' }, 'listen', 'every address'],
  ] as unknown as [Partial<ServerSettingsInput>, string, string][])('that make no sense are refused: %j', (settings, field, what) => {
    expect(() => resolveSettings({ data: '/data', ...settings })).toThrow(
      expect.objectContaining({
        kind: 'invalid',
        code: 'OPTION_RANGE',
        message: expect.stringContaining(what) as string,
        details: expect.objectContaining({ field }) as object,
      }) as Error,
    );
  });

  it('name what they do not know of a node', () => {
    const wrong = { 1: { address: 'h:1', peerAddress: 'h:2', port: 3 } };
    expect(() => resolveSettings({ data: '/data', nodeId: 1, cluster: wrong })).toThrow(
      /unknown setting 'cluster\.1\.port'; known are: address, peerAddress/,
    );
  });
});
