/**
 * Whose a data directory is: `node.json`, written once, before anything else is there.
 *
 *   {"format":1,"nodeId":1,"clusterId":"5ab0c7d1e2f30412","voters":[1,2,3],"directoryId":"93c1a85be07d2f64","check":"0d9c1f2e3a4b5c6d"}\n
 *
 *   nodeId       the member that this node is, in every group
 *   clusterId    16 hexadecimal digits
 *   voters       the nodes that the cluster began with; empty on a node that was taken in later
 *   directoryId  16 hexadecimal digits by chance: tells this directory from one that is made for the same node when this one is lost. There
 *                are directories without
 *   check        XXH64, seed 0, of the text up to `,"check"`
 *
 * A directory that is used by another node, or in another cluster, would vote twice under one name: so it is refused. It is refused as well when it holds
 * a log and has lost this file: nobody could tell what it has promised to whom.
 *
 * Format: docs/formats/node.md. Called by whoever puts a node together.
 */
import type { FileSystem, Random } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { newerFormat } from '../../base/format-version.ts';
import { readWholeFile, writeWholeFile } from '../../base/whole-file.ts';
import { xxh64 } from '../../base/xxh64.ts';

export interface NodeIdentity {
  readonly nodeId: number;
  readonly clusterId: bigint;
  readonly voters: readonly number[];
  /** Undefined: the directory was made by a release that gave it none. */
  readonly directoryId: string | undefined;
}

/** What the settings say of it. Undefined: whatever the directory says; in a new one node 1, or the only node of a cluster with an id by chance. */
export interface WantedIdentity {
  readonly nodeId: number | undefined;
  readonly clusterId: bigint | undefined;
  /** Undefined: the node alone. */
  readonly voters: readonly number[] | undefined;
}

const NAME = 'node.json';
const FORMAT = 1;
const BYTES_MAX = 64 * 1024;

/**
 * The identity that the directory has, or gets now. `found`: it had one. The directory is there, and locked. Throws `invalid/OTHER_NODE`, `invalid/OTHER_CLUSTER`,
 * `invalid/FORMAT_NEWER`, `corrupt/CORRUPT_NODE_FILE`.
 */
export function openIdentity(
  fileSystem: FileSystem,
  directory: string,
  wanted: WantedIdentity,
  random: Random,
): { identity: NodeIdentity; found: boolean } {
  const found = readIdentity(fileSystem, directory);
  const data = ['log', 'groups'].find((name) => fileSystem.existsSync(`${directory}/${name}`));
  if (found !== undefined) {
    checkIdentity(directory, found, wanted);
    // With nothing built upon it yet, it may be in the system's cache only.
    if (data === undefined) fileSystem.syncDirectorySync(directory);
    return { identity: found, found: true };
  }
  if (data !== undefined) {
    throw corrupt(`${directory}/${NAME}`, `it is missing, and ${directory}/${data} is there: whose data these are cannot be told`);
  }
  const { nodeId = 1, clusterId = drawId(random) } = wanted;
  const identity = { nodeId, clusterId, voters: wanted.voters ?? [nodeId], directoryId: hex(drawId(random)) };
  writeWholeFile(fileSystem, `${directory}/${NAME}`, encodeIdentity(identity));
  return { identity, found: false };
}

/** Whether the directory was given an identity before. */
export function hasIdentity(fileSystem: FileSystem, directory: string): boolean {
  return fileSystem.existsSync(`${directory}/${NAME}`);
}

/** 16 hexadecimal digits. */
export function formatClusterId(clusterId: bigint): string {
  return hex(clusterId);
}

export function encodeIdentity({ nodeId, clusterId, voters, directoryId }: NodeIdentity): Buffer {
  const text = JSON.stringify({ format: FORMAT, nodeId, clusterId: hex(clusterId), voters, directoryId }).slice(0, -1);
  return Buffer.from(`${text},"check":"${checkOf(text)}"}\n`);
}

/** Throws what is wrong with it; `file` is for the error. */
export function decodeIdentity(bytes: Uint8Array, file: string): NodeIdentity {
  const text = Buffer.from(bytes).toString();
  let value: Partial<Record<string, unknown>>;
  try {
    value = JSON.parse(text) as typeof value;
  } catch (error) {
    throw corrupt(file, (error as Error).message);
  }
  if (typeof value !== 'object' || value === null) throw corrupt(file, 'it holds no object');
  const { format, nodeId, clusterId, voters, directoryId, check } = value;
  if (typeof format === 'number' && format > FORMAT) throw newerFormat(file, format, FORMAT);
  const end = text.lastIndexOf(',"check"');
  if (format !== FORMAT || end < 0 || check !== checkOf(text.slice(0, end))) throw corrupt(file, 'its check does not hold');
  if (
    !isId(nodeId) ||
    !isHex(clusterId) ||
    !Array.isArray(voters) ||
    !voters.every(isId) ||
    (directoryId !== undefined && !isHex(directoryId))
  ) {
    throw corrupt(file, 'it does not say which node of which cluster this is');
  }
  return { nodeId, clusterId: BigInt(`0x${clusterId}`), voters, directoryId };
}

function readIdentity(fileSystem: FileSystem, directory: string): NodeIdentity | undefined {
  const path = `${directory}/${NAME}`;
  const bytes = readWholeFile(fileSystem, path, BYTES_MAX);
  return bytes && decodeIdentity(bytes, path);
}

function checkIdentity(directory: string, found: NodeIdentity, { nodeId, clusterId }: WantedIdentity): void {
  const cluster = formatClusterId(found.clusterId);
  const is = `${directory} is that of node ${found.nodeId} of cluster ${cluster}`;
  if (nodeId !== undefined && nodeId !== found.nodeId) {
    throw new SparrowError('invalid', 'OTHER_NODE', `${is}, and not of node ${nodeId}`, { directory, nodeId: found.nodeId, asked: nodeId });
  }
  if (clusterId !== undefined && clusterId !== found.clusterId) {
    const asked = formatClusterId(clusterId);
    const began =
      found.voters.length === 0 ? '' : ` (it began with ${found.voters.length === 1 ? 'node' : 'nodes'} ${found.voters.join(', ')})`;
    throw new SparrowError(
      'invalid',
      'OTHER_CLUSTER',
      `${is}${began}, and the list of nodes and its name are those of cluster ${asked}: a cluster keeps the list that it began with`,
      { directory, clusterId: cluster, asked },
    );
  }
}

function checkOf(text: string): string {
  const bytes = Buffer.from(text);
  const { high, low } = xxh64(bytes, 0, bytes.length, 0);
  return hex((BigInt(high) << 32n) | BigInt(low));
}

function hex(id: bigint): string {
  return id.toString(16).padStart(16, '0');
}

function isHex(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 0xffffffff;
}

function drawId(random: Random): bigint {
  return (BigInt(random.u32()) << 32n) | BigInt(random.u32());
}

function corrupt(file: string, what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_NODE_FILE', `${file} does not say whose directory this is: ${what}`, { file, offset: 0 });
}
