/** Whose a data directory is: written once, on a disk that dies at every operation, and held against whoever opens it. */
import { describe, expect, it } from 'vitest';
import { encodeIdentity } from '../../../server/node/node-identity.ts';
import { type NodeIdentity, openIdentity, type WantedIdentity } from '../../../server/node/index.ts';
import { CRASH_MODES } from '../../sim/sim-file.ts';
import { PowerLoss, SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';

const NODE_2: WantedIdentity = { nodeId: 2, clusterId: 0xaan, voters: [1, 2, 3] };
const ALONE: WantedIdentity = { nodeId: undefined, clusterId: undefined, voters: undefined };

function openIn(disk: SimFileSystem, wanted: WantedIdentity = NODE_2, seed = 1): { identity: NodeIdentity; found: boolean } {
  disk.makeDirectorySync('/data');
  return openIdentity(disk, '/data', wanted, new SimRandom(seed));
}

function bytesOf(disk: SimFileSystem): Buffer {
  const file = disk.openSync('/data/node.json', 'read');
  const bytes = Buffer.alloc(file.sizeSync());
  file.readSync(bytes, 0, bytes.length, 0);
  file.closeSync();
  return bytes;
}

describe('the identity of a node', () => {
  it('is what was wanted at first, and found after that', () => {
    const disk = new SimFileSystem();
    const { identity, found } = openIn(disk);
    expect(found).toBe(false);
    expect(identity).toEqual({ ...NODE_2, directoryId: expect.stringMatching(/^[0-9a-f]{16}$/) as string });
    expect(openIn(disk, NODE_2, 2)).toEqual({ identity, found: true });
    // Whoever does not say takes what there is.
    expect(openIn(disk, ALONE)).toEqual({ identity, found: true });
  });

  it('of one that is made for the same node again is another one', () => {
    const { directoryId } = openIn(new SimFileSystem()).identity;
    expect(openIn(new SimFileSystem(), NODE_2, 2).identity.directoryId).not.toBe(directoryId);
  });

  it('of a directory that was given no id of its own is read, and stays without', () => {
    const disk = new SimFileSystem();
    const old = { nodeId: 2, clusterId: 0xaan, voters: [1, 2, 3], directoryId: undefined };
    disk.makeDirectorySync('/data');
    disk.replace('/data/node.json', encodeIdentity(old));
    expect(openIn(disk)).toEqual({ identity: old, found: true });
    expect(bytesOf(disk)).toEqual(encodeIdentity(old));
  });

  it('of a node alone is node 1, of a cluster of its own', () => {
    const one = openIn(new SimFileSystem(), ALONE).identity;
    expect(one).toMatchObject({ nodeId: 1, voters: [1] });
    const disk = new SimFileSystem();
    disk.makeDirectorySync('/data');
    const other = openIdentity(disk, '/data', { ...ALONE, nodeId: 9 }, new SimRandom(2)).identity;
    expect(other).toMatchObject({ nodeId: 9, voters: [9] });
    expect(other.clusterId).not.toBe(one.clusterId);
    expect(openIn(disk, ALONE).identity).toEqual(other);
  });

  it('that is not the one wanted is refused, with both named', () => {
    const disk = new SimFileSystem();
    openIn(disk);
    expect(() => openIn(disk, { ...NODE_2, nodeId: 3 })).toThrow(
      expect.objectContaining({
        kind: 'invalid',
        code: 'OTHER_NODE',
        message: '/data is that of node 2 of cluster 00000000000000aa, and not of node 3',
        details: { directory: '/data', nodeId: 2, asked: 3 },
      }) as Error,
    );
    expect(() => openIn(disk, { ...NODE_2, clusterId: 0xbbn })).toThrow(
      expect.objectContaining({
        kind: 'invalid',
        code: 'OTHER_CLUSTER',
        message: expect.stringMatching(/cluster 00000000000000aa \(it began with nodes 1, 2, 3\).*cluster 00000000000000bb/) as string,
      }) as Error,
    );
    expect(openIn(disk).found).toBe(true);
  });

  it('that is damaged at any byte, or cut off, is refused', () => {
    const disk = new SimFileSystem();
    openIn(disk);
    const bytes = bytesOf(disk);
    for (let at = 0; at < bytes.length - 1; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1;
      disk.replace('/data/node.json', flipped);
      expect(() => openIn(disk), `byte ${at}`).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/CORRUPT_NODE_FILE|FORMAT_NEWER/) as string }) as Error,
      );
      disk.replace('/data/node.json', bytes.subarray(0, at));
      expect(() => openIn(disk), `${at} bytes`).toThrow(expect.objectContaining({ code: 'CORRUPT_NODE_FILE' }) as Error);
    }
  });

  it('that is lost is not made up where data are', () => {
    for (const name of ['log', 'groups']) {
      const disk = new SimFileSystem();
      disk.makeDirectorySync(`/data/${name}`);
      expect(() => openIn(disk)).toThrow(expect.objectContaining({ kind: 'corrupt', code: 'CORRUPT_NODE_FILE' }) as Error);
    }
  });

  it('is durable before anything else, and whole or not there after a crash at any operation', () => {
    const whole = new SimFileSystem();
    const first = openIn(whole).identity;
    const { operations } = whole;
    expect(operations).toBeGreaterThan(3);
    let kept = 0;
    for (let at = 1; at <= operations; at++) {
      for (const mode of CRASH_MODES) {
        const disk = new SimFileSystem({ seed: at });
        disk.killAt(at);
        expect(() => openIn(disk)).toThrow(PowerLoss);
        disk.crash(mode);
        // Another one can be chosen as long as none was promised.
        const { identity, found } = openIn(disk, { ...ALONE, nodeId: undefined }, 2);
        if (found) kept++;
        expect(found ? identity : first, `operation ${at}, ${mode}`).toEqual(first);
        disk.crash(mode);
        expect(openIn(disk, ALONE), `operation ${at}, ${mode}`).toEqual({ identity, found: true });
      }
    }
    expect(kept).toBeGreaterThan(0);
  });
});
