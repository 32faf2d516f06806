/**
 * What the commands of an operator have in common: a way to the cluster, waiting with a word on how it stands, and how they end.
 *
 * A command says what is to be so (`reach`): it looks whether it is, makes a step where it is not, and looks again. So a command that is given twice does no
 * harm, and neither does an answer that is lost on its way.
 */
import { setTimeout as pause } from 'node:timers/promises';

import { type Command, InvalidArgumentError } from 'commander';

import {
  type AdminOptions,
  type ClusterAdmin,
  type ClusterStatus,
  connectAdmin,
  connectMeta,
  SparrowError,
} from '../../../client/index.ts';
import { type ServerOptions, tlsOptions, withServerOptions } from '../../client-command.ts';
import { listenForInterrupt } from '../../interrupt.ts';
import { parseId } from '../../meta-command.ts';
import { Output } from '../../terminal/output.ts';

export interface ClusterOptions extends ServerOptions {
  shard?: number;
  json?: boolean;
}

export type Member = ClusterStatus['members'][number];

export interface Operator {
  readonly admin: ClusterAdmin;
  readonly signal: AbortSignal;
  /** How long a step may take that should take a moment. */
  readonly timeoutMs: number;
  /** A line on stderr on how it goes. */
  note(line: string): void;
  /** A line on what was done: on stdout, or with --json nowhere. */
  done(line: string): void;
  /** With --json this is printed in the end, and not the status of the cluster. */
  answer(value: object): void;
}

/** Refused for a moment, or not known to be done: to be looked at again. */
const PASSING: ReadonlySet<string> = new Set([
  'CHANGE_REFUSED',
  'TRANSFERRING',
  'LEADERSHIP_LOST',
  'NO_LEADER',
  'CONNECTION_LOST',
  'REPLICA_STOPPED',
  'SHUTTING_DOWN',
]);
const LOOK_MS = 200;
/** A word on how a wait stands, this often. */
const NOTE_MS = 3000;

export function withClusterOptions(command: Command, json = 'the cluster as it is then, as JSON'): Command {
  return withServerOptions(command).option('--json', json);
}

export function withShardOption(command: Command): Command {
  return command.option(
    '--shard <id>',
    'of this shard (default: 1); the metaserver leaves its members as they are then, until "release"',
    parseId('shard'),
  );
}

/** Runs a command with a way to the cluster, and sets the exit code that it returns. With --json, the status of the cluster is printed in the end, or the answer. */
export async function operate(
  options: ClusterOptions,
  work: (operator: Operator) => Promise<number>,
  where: typeof nodesOfShard = nodesOfShard,
): Promise<void> {
  const addresses = options.server.split(',').map((address) => address.trim());
  const timeoutMs = Math.ceil(options.timeout * 1000);
  using interrupt = listenForInterrupt();
  const { signal } = interrupt;
  const { shard } = options;
  const asked = shard === undefined ? addresses : await where(addresses, shard, { timeoutMs, signal, ...tlsOptions(options) });
  using admin = connectAdmin(asked, { timeoutMs, signal, shard, ...tlsOptions(options) });
  const lines: string[] = [];
  let answer: object | undefined;
  const operator = {
    admin,
    signal,
    timeoutMs,
    note: (line: string) => void process.stderr.write(`${line}\n`),
    done: (line: string) => void lines.push(`${line}\n`),
    answer: (value: object) => void (answer = value),
  };
  try {
    const code = await work(operator);
    if (options.json === true) await print(`${JSON.stringify(answer ?? (await admin.status()).status, null, 2)}\n`);
    else await print(lines.join(''));
    process.exitCode = code;
  } catch (error) {
    // What was done before is worth knowing.
    if (options.json !== true) await print(lines.join(''));
    const code = interrupt.exitCode();
    if (code === undefined) throw error;
    process.exitCode = code;
  }
}

/** Where the nodes are that have replicas of the shard, as the metaserver knows. */
export async function nodesOfShard(addresses: readonly string[], shard: number, options: AdminOptions): Promise<string[]> {
  using meta = connectMeta(addresses, { ...options, waitForServer: false });
  const { nodes, shards } = await meta.survey();
  const found = shards.find(({ entry }) => entry?.shard === shard);
  if (found === undefined)
    throw new SparrowError('invalid', 'SHARD_UNKNOWN', `there is no shard ${shard}; "sparrowkv cluster shards" lists them`, { shard });
  const members = found.entry!.replicas.map(({ node }) => node);
  return nodes.flatMap(({ entry }) => (entry !== undefined && members.includes(entry.node) && entry.address !== '' ? [entry.address] : []));
}

export interface Goal {
  /** Whether it is so. May throw why it can never be. */
  readonly reached: (status: ClusterStatus) => boolean;
  /** Undefined: there is nothing to be done but to wait. */
  readonly step?: () => Promise<unknown>;
  /** How it stands, for people who wait. */
  readonly progress?: (status: ClusterStatus) => Promise<string> | string;
  /** In vain after so long. */
  readonly msMax: number;
  /** What is waited for, for the error. */
  readonly what: string;
}

/** Settles with the leader's status when it is so. */
export async function reach(operator: Operator, { reached, step, progress, msMax, what }: Goal): Promise<ClusterStatus> {
  const endMs = performance.now() + msMax;
  let noteMs = performance.now() + NOTE_MS;
  let said = '';
  let last: unknown;
  for (let looks = 0; ; looks++) {
    const { status } = await operator.admin.leaderStatus();
    if (reached(status)) return status;
    try {
      await step?.();
      last = undefined;
    } catch (error) {
      if (!(error instanceof SparrowError) || !PASSING.has(error.code)) throw error;
      last = error;
    }
    const nowMs = performance.now();
    if (progress !== undefined && nowMs >= noteMs) {
      const text = await progress(status);
      if (text !== said) operator.note(text);
      said = text;
      noteMs = nowMs + NOTE_MS;
    }
    if (nowMs + LOOK_MS > endMs) {
      const why = last instanceof SparrowError ? `: ${last.message}` : '';
      throw new SparrowError('unavailable', 'TIMEOUT', `${what} did not come about in ${msMax} ms${why}`, { timeoutMs: msMax }, last);
    }
    // A step that was made has most often done it.
    if (step === undefined || last !== undefined || looks > 0) await pause(LOOK_MS, undefined, { signal: operator.signal });
  }
}

export function memberOf(status: ClusterStatus, id: number): Member | undefined {
  return status.members.find((member) => member.id === id);
}

/** Of a member, which there must be. */
export function needMember(status: ClusterStatus, id: number): Member {
  const member = memberOf(status, id);
  if (member !== undefined) return member;
  const ids = status.members.map((each) => each.id).join(', ');
  throw new SparrowError('invalid', 'NOT_A_MEMBER', `node ${id} is not a member of the shard; its members are ${ids}`, { node: id });
}

export function parseNodeId(text: string): number {
  const id = Number(text);
  if (!/^[1-9]\d{0,9}$/.test(text) || id > 0xffffffff) throw new InvalidArgumentError('A node id is asked for, from 1 to 4294967295.');
  return id;
}

export async function print(text: string): Promise<void> {
  const output = new Output(process.stdout);
  await output.write(text);
  await output.finish();
}
