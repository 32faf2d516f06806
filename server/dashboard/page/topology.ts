/**
 * Nodes by pool and zone. A node is a button: pressed, the shards below are those that it holds. With many nodes their cards become small: number,
 * what is wrong and how full they are remain.
 */
import type { NodeView } from '../cluster-view.ts';
import { byId, el, type Kept, KeptList, setAttribute, setProperty, setText } from './dom.ts';
import { bytes, bytesPerSecond, count, duration, listed, perSecond, percent, plural } from './format.ts';
import { diskUsed, lookOf, NODE_SEVERITY, type NodeLook } from './health.ts';
import { type Choice, inOrder, type Model, trafficOf } from './model.ts';

/** From so many nodes on, cards are small. */
const MANY_NODES = 40;

interface Zone {
  readonly key: string;
  readonly pool: string;
  readonly zone: string;
  readonly nodes: readonly NodeView[];
}

const WORDS: Readonly<Record<NodeLook, string>> = {
  up: 'up',
  slow: 'slow disk',
  suspect: 'suspected',
  down: 'down',
  draining: 'draining',
  drained: 'drained',
  removed: 'removed',
};

export class Topology {
  readonly #zones: KeptList<Zone>;
  #model: Model | undefined;
  #chosen: number | undefined;

  /** `onNode`: the node's button was pressed; undefined: released. */
  constructor(onNode: (node: number | undefined) => void) {
    const list = byId('zones');
    list.classList.add('zones');
    this.#zones = new KeptList(
      list,
      ({ key }) => key,
      () => this.#zonePanel(onNode),
    );
  }

  update(model: Model, { node }: Choice): void {
    this.#model = model;
    this.#chosen = node;
    const there = model.view.nodes.filter(({ state }) => state !== 'removed');
    const pools = inOrder(there.map(({ pool }) => pool));
    const zones = pools.flatMap((pool) =>
      inOrder(there.filter((each) => each.pool === pool).map(({ zone }) => zone)).map((zone) => ({
        key: JSON.stringify([pool, zone]),
        pool: pools.length > 1 ? pool : '',
        zone,
        nodes: there.filter((each) => each.pool === pool && each.zone === zone),
      })),
    );
    setAttribute(byId('zones'), 'data-dense', there.length > MANY_NODES);
    this.#zones.update(zones);
    setText(byId('topology-summary'), summaryOf(there));
  }

  #zonePanel(onNode: (node: number | undefined) => void): Kept<Zone> {
    const title = el('h3');
    const note = el('span', { class: 'quiet' });
    const cards = el('div', { class: 'nodes' });
    const nodes = new KeptList<NodeView>(
      cards,
      ({ id }) => id,
      () => this.#nodeCard(onNode),
    );
    return {
      element: el('div', { class: 'zone' }, el('div', { class: 'zone-head' }, title, note), cards),
      update: ({ pool, zone, nodes: within }) => {
        setText(title, `${zone === '' ? 'No zone' : zone}${pool === '' ? '' : `, pool ${pool}`}`);
        setText(note, zoneNote(within));
        nodes.update(within);
      },
    };
  }

  #nodeCard(onNode: (node: number | undefined) => void): Kept<NodeView> {
    let id = 0;
    const number = el('span');
    const name = el('span', { class: 'node-name' }, el('span', { class: 'word' }, 'Node '), number);
    const state = el('span', { class: 'mark' });
    const crown = el('span', { class: 'badge', title: 'leads the metaserver' }, 'meta');
    const address = el('span', { class: 'quiet mono address' });
    const disk = new Meter('Disk');
    const cpu = new Meter('CPU');
    const held = el('span', { class: 'held' });
    const element = el(
      'button',
      { type: 'button', class: 'node', on: { click: () => onNode(this.#chosen === id ? undefined : id) } },
      el('span', { class: 'node-head' }, name, crown, state),
      address,
      el('span', { class: 'meters' }, disk.element, cpu.element),
      held,
    );
    return {
      element,
      update: (node) => {
        id = node.id;
        const look = lookOf(node);
        const { view } = this.#model!;
        const leads = view.leader === node.id;
        const silent = node.state === 'down' || node.state === 'suspect';
        setText(number, String(node.id));
        setText(
          state,
          silent ? `${wordsOf(look)} ${duration(view.nowMs - (node.state === 'down' ? node.sinceMs : node.heardMs))}` : wordsOf(look),
        );
        setAttribute(state, 'data-severity', NODE_SEVERITY[look] ?? 'busy');
        setAttribute(element, 'data-look', look);
        setAttribute(element, 'aria-pressed', String(this.#chosen === node.id));
        setAttribute(element, 'title', titleOf(node));
        crown.hidden = !leads;
        setText(address, node.address);
        disk.show(diskUsed(node), 0.8, 0.9);
        cpu.show(node.cpu, 0.75, 0.9);
        setText(held, node.role === 'proxy' ? 'proxy' : heldBy(node));
        setAttribute(
          element,
          'aria-label',
          `Node ${node.id}, ${wordsOf(look)}${leads ? ', leads the metaserver' : ''}, ${heldBy(node)}, disk ${percent(diskUsed(node))} full. Shows its shards.`,
        );
      },
    };
  }
}

/** A bar with its figure. */
class Meter {
  readonly element: HTMLElement;
  readonly #bar: HTMLElement = el('span', { class: 'meter' });
  readonly #figure: HTMLElement = el('span', { class: 'figure' });

  constructor(name: string) {
    this.element = el('span', { class: 'meter-row' }, el('span', { class: 'quiet' }, name), this.#bar, this.#figure);
  }

  show(part: number, warn: number, bad: number): void {
    setProperty(this.#bar, '--part', `${Math.min(100, part * 100).toFixed(1)}%`);
    setAttribute(this.#bar, 'data-severity', part >= bad ? 'bad' : part >= warn ? 'warn' : 'well');
    setText(this.#figure, percent(part));
  }
}

/** Another release may know more states. */
function wordsOf(look: NodeLook): string {
  return WORDS[look] ?? look;
}

function heldBy(node: NodeView): string {
  return `${plural(node.replicas, 'replica')}, leads\u00a0${count(node.leaders)}, ${perSecond(trafficOf(node))}`;
}

function titleOf(node: NodeView): string {
  const labels = Object.entries(node.labels).map(([name, value]) => `${name}=${value}`);
  return [
    `${node.address}, role ${node.role}, ${node.release}`,
    `disk: ${bytes(node.diskUsedBytes)} of SparrowKV, ${bytes(node.diskFreeBytes)} free of ${bytes(node.capacityBytes)}`,
    `reads ${perSecond(node.readsPerSecond)}, writes ${perSecond(node.writesPerSecond)}, disk busy ${percent(node.io)} with ${bytesPerSecond(node.ioBytesPerSecond)}, ${count(node.incoming)} copies coming, ${count(node.outgoing)} going`,
    ...(labels.length > 0 ? [listed(labels, 8)] : []),
  ].join('\n');
}

function zoneNote(nodes: readonly NodeView[]): string {
  const sum = (of: (node: NodeView) => number): number => nodes.reduce((total, node) => total + of(node), 0);
  return `${plural(nodes.length, 'node')}, leads ${count(sum(({ leaders }) => leaders))}, ${perSecond(sum(trafficOf))}`;
}

function summaryOf(nodes: readonly NodeView[]): string {
  const by = new Map<string, number>();
  for (const node of nodes) by.set(wordsOf(lookOf(node)), (by.get(wordsOf(lookOf(node))) ?? 0) + 1);
  return [...by].map(([words, number]) => `${count(number)} ${words}`).join(', ');
}
