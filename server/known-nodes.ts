/**
 * Where the nodes of the cluster were when this node knew last: whom it asks when it is started again, and what it has of the cluster itself does not say.
 * A hint: whoever is asked says what is so now, and who answers at an address is compared with who should.
 *
 *   DATA/nodes.json   {"format":1,"nodes":{"1":{"address":"10.0.0.1:7400","peerAddress":"10.0.0.1:7401"}}}
 *
 * Format: docs/formats/node.md. Used by node-parts.ts and cluster-ties.ts.
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { FileSystem } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { readWholeFile, writeWholeFile } from '../base/whole-file.ts';
import type { NodeAddress } from './node/index.ts';

const NAME = 'nodes.json';
const BYTES_MAX: number = 16 * 1024 * 1024;
const FILE = z.object({
  format: z.literal(1),
  nodes: z.record(z.string().regex(/^[1-9]\d{0,9}$/), z.object({ address: z.string(), peerAddress: z.string() })),
});

export type KnownNodes = ReadonlyMap<number, NodeAddress>;

/** Empty: there is no such file. Throws `corrupt/CORRUPT_NODES_FILE` for one that says nothing that could be used. */
export function readKnownNodes(fileSystem: FileSystem, directory: string): KnownNodes {
  const path = join(directory, NAME);
  const bytes = readWholeFile(fileSystem, path, BYTES_MAX);
  if (bytes === undefined) return new Map();
  try {
    const { nodes } = FILE.parse(JSON.parse(bytes.toString('utf8')));
    return new Map(Object.entries(nodes).map(([id, at]) => [Number(id), at]));
  } catch (error) {
    throw new SparrowError('corrupt', 'CORRUPT_NODES_FILE', `${path} does not say where other nodes are`, { file: path, offset: 0 }, error);
  }
}

/** Durable when it returns. */
export function writeKnownNodes(fileSystem: FileSystem, directory: string, nodes: KnownNodes): void {
  const entries = [...nodes].map(([id, { address, peerAddress }]) => [id, { address, peerAddress }] as const);
  writeWholeFile(fileSystem, join(directory, NAME), Buffer.from(`${JSON.stringify({ format: 1, nodes: Object.fromEntries(entries) })}\n`));
}

export function sameNodes(a: KnownNodes, b: KnownNodes): boolean {
  if (a.size !== b.size) return false;
  return [...a].every(([id, { address, peerAddress }]) => b.get(id)?.address === address && b.get(id)?.peerAddress === peerAddress);
}
