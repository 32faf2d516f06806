/**
 * The ways in that are compared, each as a user of it would write it. `session`: our SDK. `unary`: a plain gRPC call each, by @grpc/grpc-js and the generated
 * messages. `native`: the same of etcd's API. Plain calls go to the node that leads, in both systems.
 */
import { connect } from '../../client/index.ts';
import { Role, StatusRequest, StatusResponse } from '../../proto/index.ts';
import { type Caller, kvOver, type UnaryCall } from '../server/callers.ts';
import { decodePut, decodeRange, decodeStatus, encodePut, encodeRange, PUT_PATH, RANGE_PATH, STATUS_PATH } from './etcd-messages.ts';
import { ASK_MS_MAX, LeaderChannel, type NodeClient } from './leader-channel.ts';
import type { Api } from './workloads.ts';

export interface ClusterCaller extends Caller {
  /** Calls that had to be sent again; the SDK does not tell. */
  resent(): number;
}

/** `table`: of a session; undefined: the one that every cluster of ours has. */
export function enter(api: Api, addresses: readonly string[], table?: string): Promise<ClusterCaller> {
  return api === 'session' ? enterBySession(addresses, table) : { unary: enterByUnary, native: enterEtcd }[api](addresses);
}

function enterBySession(addresses: readonly string[], table: string | undefined): Promise<ClusterCaller> {
  const client = connect(addresses);
  const keyValues = table === undefined ? client : client.table(table);
  return Promise.resolve({
    resent: () => 0,
    put: (key, value) => keyValues.put(key, value),
    get: (key) => keyValues.get(key),
    close: () => client.close(),
  });
}

async function enterByUnary(addresses: readonly string[]): Promise<ClusterCaller> {
  const channel = await LeaderChannel.open(addresses, leadsOurs);
  const call: UnaryCall = (method, request, asked, answered) =>
    channel.call(
      `/sparrowkv.v1.Kv/${method}`,
      request,
      (message) => asked.encode(message).finish(),
      (bytes) => answered.decode(bytes),
    );
  return { ...kvOver(call), ...endOf(channel) };
}

async function enterEtcd(addresses: readonly string[]): Promise<ClusterCaller> {
  const channel = await LeaderChannel.open(addresses, leadsEtcd);
  return {
    put: (key, value) => channel.call(PUT_PATH, undefined, () => encodePut(key, value), decodePut),
    get: (key) => channel.call(RANGE_PATH, key, encodeRange, decodeRange),
    ...endOf(channel),
  };
}

function endOf(channel: LeaderChannel): Pick<ClusterCaller, 'resent' | 'close'> {
  return {
    resent: () => channel.resent,
    close() {
      channel.close();
      return Promise.resolve();
    },
  };
}

async function leadsOurs(node: NodeClient): Promise<boolean> {
  const { replica } = await node.call(
    '/sparrowkv.v1.Admin/Status',
    {},
    (request) => StatusRequest.encode(request).finish(),
    (bytes) => StatusResponse.decode(bytes),
    ASK_MS_MAX,
  );
  return replica?.role === Role.LEADER;
}

async function leadsEtcd(node: NodeClient): Promise<boolean> {
  const { memberId, leader } = await node.call(STATUS_PATH, undefined, () => NOTHING, decodeStatus, ASK_MS_MAX);
  return memberId === leader;
}

const NOTHING = new Uint8Array(0);
