/**
 * What operators and SDKs ask of a cluster, asked of a proxy: all of Meta but the stream over which nodes attend goes to the node that leads the metaserver, and who the
 * members are is asked of a member. So table verbs and `sparrowkv cluster` work with a proxy's address; what is for one node goes to that node, whose address is told.
 *
 * A call is passed on once: a proxy that was told to join another proxy gets a clear refusal.
 *
 * Used by proxy-server.ts.
 */
import { performance } from 'node:perf_hooks';
import { SparrowError } from '../../base/errors.ts';
import { type AdminOptions, connectAdmin, connectMeta, type MetaAdmin } from '../../client/index.ts';
import type { AdminServer, MetaClient, MetaServer } from '../../proto/index.ts';
import { type CallCounter, type PlainCall, plainMethod, statusOf } from '../gateway/index.ts';

/** Of a caller that says nothing. */
const DEFAULT_MS = 30_000;
/** What is left of a caller's time goes to telling him what kept it. */
const TOLD_MS = 100;

type MetaMethod<Q, A> = Parameters<typeof MetaAdmin.prototype.passOn<Q, A>>[1];

export class ClusterProxy {
  readonly meta: MetaServer;
  readonly admin: Pick<AdminServer, 'clusterStatus'>;
  readonly #leader: MetaAdmin;

  /** `member`: HOST:PORT of a node. */
  constructor(member: string, tls: AdminOptions['tls'], counter: CallCounter) {
    const leader = connectMeta(member, { tls, forwarded: true });
    const passOn = <Q, A>(name: string, isRead: boolean, method: MetaMethod<Q, A>): ReturnType<typeof plainMethod<Q, A>> =>
      plainMethod<Q, A>(counter, name, (request, call) => leader.passOn(name, method, request, isRead, msOf(call)));
    this.#leader = leader;
    this.meta = {
      topology: passOn('topology', true, (client: MetaClient, ...call) => client.topology(...call)),
      createTable: passOn('create_table', false, (client: MetaClient, ...call) => client.createTable(...call)),
      alterTable: passOn('alter_table', false, (client: MetaClient, ...call) => client.alterTable(...call)),
      dropTable: passOn('drop_table', false, (client: MetaClient, ...call) => client.dropTable(...call)),
      undeleteTable: passOn('undelete_table', false, (client: MetaClient, ...call) => client.undeleteTable(...call)),
      listTables: passOn('list_tables', true, (client: MetaClient, ...call) => client.listTables(...call)),
      survey: passOn('survey', true, (client: MetaClient, ...call) => client.survey(...call)),
      operate: passOn('operate', false, (client: MetaClient, ...call) => client.operate(...call)),
      policy: passOn('policy', false, (client: MetaClient, ...call) => client.policy(...call)),
      timestamps: passOn('timestamps', false, (client: MetaClient, ...call) => client.timestamps(...call)),
      attend: (stream) => void stream.emit('error', statusOf(notMember(member))),
    };
    this.admin = {
      clusterStatus: plainMethod(counter, 'cluster_status', async ({ shard }, call) => {
        using admin = connectAdmin([member], { shard, tls, timeoutMs: msOf(call), forwarded: true });
        return (await admin.status()).status;
      }),
    };

    function msOf(call: PlainCall): number {
      if (call.forwarded) throw notMember(member);
      if (call.deadlineMs === Infinity) return DEFAULT_MS;
      return Math.max(1, Math.ceil(call.deadlineMs - performance.now() - TOLD_MS));
    }
  }

  close(): void {
    this.#leader.close();
  }
}

function notMember(member: string): SparrowError {
  const message = `this server is a proxy of the cluster of ${member}, and no node of it: other proxies and nodes join a node`;
  return new SparrowError('invalid', 'PROXY', message, { field: 'join', applied: false });
}
