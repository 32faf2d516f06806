/**
 * Puts together where calls go: one connector (connector.ts) for each group of replicas that is called, over one set of connections to nodes (nodes.ts).
 *
 *   no route      the first group: table `default`, as long as it is one shard
 *   a table       table-route.ts finds the shard
 *   metaserver    any node, which knows who leads it
 *
 * Calls to one node share its session, whatever their shard: those of a turn leave in one message.
 */
import type { SparrowError } from '../base/errors.ts';
import type { NodeEntry, TopologyResponse } from '../proto/index.ts';
import type { AnyCall, CallGroup, CallRoute } from './call.ts';
import type { Settings } from './connect-options.ts';
import { Connector, type ConnectorParts, isSilent, type Visitor } from './connector.ts';
import type { Connection, SideStream } from './connection.ts';
import { FirstGroup, MetaGroup, ShardGroup } from './group-links.ts';
import { nodeSilent } from './settled-errors.ts';
import type { NodeLink } from './node-link.ts';
import { Nodes } from './nodes.ts';
import type { ShardMap, ShardPlace } from './shard-map.ts';
import { SilenceWatch } from './silence-watch.ts';
import type { Surroundings } from './surroundings.ts';
import { movedOn, TableRoute } from './table-route.ts';

export interface RouterEvents {
  answered(call: AnyCall, answer: unknown): void;
  refused(call: AnyCall, error: SparrowError): void;
  lost(call: AnyCall, error: SparrowError): void;
  /** It cannot be sent, or waited for as long as it may. */
  failed(call: AnyCall, error: SparrowError): void;
  connected(connection: Connection): void;
  /** Asks the metaserver for the map of a table. */
  fetch(table: string, knownVersion: number): Promise<TopologyResponse>;
}

/** Table `default` by its name. */
export const DEFAULT_TABLE = 'default';

/** The shard that table `default` begins with. */
const FIRST_SHARD = 1;

/** Of a call that named no shard: table `default` is more than one, and the node found the one that the call is for. */
export function isOfOtherShard({ code, details: { shard } }: SparrowError): boolean {
  return code === 'WRONG_SHARD' || (typeof shard === 'number' && shard !== 0 && shard !== FIRST_SHARD);
}

interface ShardConnector {
  readonly links: ShardGroup;
  readonly connector: Connector;
  readonly table: TableRoute;
}

export class Router {
  readonly #events: RouterEvents;
  readonly #nodes: Nodes;
  readonly #parts: ConnectorParts;
  readonly #first: Connector;
  readonly #shards: Map<number, ShardConnector> = new Map();
  readonly #tables: Map<string, TableRoute> = new Map();
  #meta: Connector | undefined;

  constructor(addresses: readonly string[], settings: Settings, surroundings: Surroundings, events: RouterEvents) {
    this.#events = events;
    this.#nodes = new Nodes(addresses, surroundings, {
      answered: (call, answer) => events.answered(call, answer),
      refused: (link, call, error) => {
        if (call.group !== undefined) call.group.turnedAway(link, error);
        else if (!isOfOtherShard(error)) this.#first.turnedAway(link, error);
        events.refused(call, error);
      },
      lost: (call, error) => events.lost(call, error),
    });
    const watch = new SilenceWatch(this.#nodes, surroundings, (link) => this.#silent(link));
    this.#parts = { settings, surroundings, nodes: this.#nodes, watch };
    this.#first = new Connector(new FirstGroup(this.#nodes), this.#parts, {
      connected: (connection) => events.connected(connection),
      unreachable: (call, error) => events.failed(call, error),
    });
  }

  /** The group that table `default` begins with. */
  get first(): Connector {
    return this.#first;
  }

  dispatch(call: AnyCall): void {
    if (call.route === undefined) this.#first.dispatch(call);
    else call.route.dispatch(call);
  }

  table(name: string): TableRoute {
    let route = this.#tables.get(name);
    if (route === undefined) {
      const { settings, surroundings } = this.#parts;
      route = new TableRoute(name, {
        settings,
        surroundings,
        fetch: async (table, knownVersion) => {
          const answer = await this.#events.fetch(table, knownVersion);
          this.#learnNodes(answer.nodes);
          return answer;
        },
        group: (place) => this.#group(route!, place),
        mapped: (map) => this.#mapped(route!, map),
        fail: (call, error) => this.#events.failed(call, error),
      });
      this.#tables.set(name, route);
    }
    return route;
  }

  /** For calls to the metaserver. */
  readonly metaRoute: CallRoute = {
    dispatch: (call) => {
      call.group = this.#metaConnector();
      this.#metaConnector().dispatch(call);
    },
    tookBack: () => false,
    observe: () => undefined,
  };

  close(error: SparrowError): void {
    for (const route of this.#tables.values()) route.close(error);
    for (const { connector } of this.#shards.values()) connector.close(error);
    this.#shards.clear();
    this.#meta?.close(error);
    this.#first.close(error);
    this.#nodes.close(error);
  }

  #metaConnector(): Connector {
    return (this.#meta ??= new Connector(new MetaGroup(this.#nodes), this.#parts, {
      connected: () => undefined,
      unreachable: (call, error) => this.#events.failed(call, error),
    }));
  }

  #group(table: TableRoute, place: ShardPlace): Connector {
    const known = this.#shards.get(place.shard);
    if (known !== undefined) return known.connector;
    const links = new ShardGroup(this.#nodes, place.shard);
    this.#place(links, place);
    const connector = new Connector(links, this.#parts, {
      connected: (connection) => this.#events.connected(connection),
      unreachable: (call, error) => this.#events.failed(call, error),
      leaderless: () => table.refresh(),
    });
    this.#shards.set(place.shard, { links, connector, table });
    return connector;
  }

  /** Where the metaserver says that the replicas are. */
  #place(links: ShardGroup, { replicas, leader }: ShardPlace): void {
    const members = replicas.filter(({ witness }) => !witness).map(({ node }) => this.#nodes.byId(node));
    links.setMembers(members.filter((link) => link !== undefined));
    if (leader !== 0) links.hintLeader(leader);
  }

  /** Calls that wait for a shard that is gone are sent where their keys are now. */
  #mapped(table: TableRoute, map: ShardMap): void {
    for (const [shard, known] of [...this.#shards]) {
      if (known.table !== table) continue;
      const place = map.byShard(shard);
      if (place !== undefined) {
        this.#place(known.links, place);
        continue;
      }
      this.#shards.delete(shard);
      for (const call of known.connector.dissolve(movedOn(shard))) {
        call.holder = undefined;
        this.dispatch(call);
      }
    }
  }

  #learnNodes(entries: readonly NodeEntry[]): void {
    for (const { node, address, zone } of entries) {
      const link = address === '' ? undefined : this.#nodes.learn(node, address);
      if (link === undefined) continue;
      link.mapped = true;
      link.zone = zone;
    }
  }

  /** Nothing comes from this node. The groups whose calls go there ask others; the calls of those that have another leader move to that one. */
  #silent(link: NodeLink): void {
    this.#nodes.silent(link);
    const moves = (group: CallGroup | undefined): boolean => {
      const { target } = group ?? this.#first;
      return target !== undefined && target !== link && !isSilent(target);
    };
    const { connection } = link;
    if (connection === undefined) return;
    const error = nodeSilent(link.address);
    connection.release((what: AnyCall | SideStream) => moves(what.group), error);
    if (connection.awaited === 0) connection.abandon(error);
  }

  visit(visitor: Visitor): () => void {
    return this.#first.visit(visitor);
  }
}
