/**
 * The metaserver on a node: follows the lead of META_GROUP. While this node has it there is a MetaLead (lead.ts), which reads the topology and decides; while
 * it has not, whoever asks is told who has.
 *
 * Made by whoever builds a node with a replica of META_GROUP; runs on its clock and scheduler, so that test/sim can run it.
 */
import type { Clock, Scheduler, Timer } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { NodeStream, NodeStreamListener } from './attending.ts';
import { type MetaEvent, MetaLead } from './lead.ts';
import type { MetaReplica } from './store.ts';

export interface MetaserverParts {
  readonly replica: MetaReplica;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** 16 hexadecimal digits. */
  readonly clusterId: string;
  /** The nodes that the cluster begins with. */
  readonly voters: readonly number[];
  /** How often nodes report, and how often is decided. Default 1,000 ms each. */
  readonly reportMs?: number;
  readonly roundMs?: number;
  readonly onEvent?: (event: MetaEvent) => void;
}

const REPORT_MS = 1000;
const ROUND_MS = 1000;
/** A lead that failed to begin is tried again after this, if this node still has it. */
const AGAIN_MS = 1000;

export class Metaserver {
  readonly #parts: MetaserverParts;
  readonly #unlisten: () => void;
  #lead: MetaLead | undefined;
  #again: Timer | undefined;
  #leadsBegun = 0;
  #closed = false;

  constructor(parts: MetaserverParts) {
    this.#parts = parts;
    this.#unlisten = parts.replica.lead.onLeader(() => this.#follow());
    this.#follow();
  }

  /** Undefined: this node does not lead the metaserver. */
  get lead(): MetaLead | undefined {
    return this.#lead;
  }

  get leadsBegun(): number {
    return this.#leadsBegun;
  }

  /** Throws `rerouted/NOT_LEADER` with the node that leads, `unavailable/NO_LEADER`. */
  leading(): MetaLead {
    if (this.#lead !== undefined) return this.#lead;
    const { id, leader, role } = this.#parts.replica.stats();
    if (role === 'leader') throw new SparrowError('unavailable', 'META_STARTING', 'the metaserver begins', { applied: false });
    if (leader === 0 || leader === id)
      throw new SparrowError('unavailable', 'NO_LEADER', 'nobody is known to lead the metaserver', { applied: false });
    throw new SparrowError('rerouted', 'NOT_LEADER', `node ${leader} leads the metaserver`, { leader, applied: false });
  }

  /** A node's stream. Throws as `leading`. */
  attend(stream: NodeStream): NodeStreamListener {
    return this.leading().attend(stream);
  }

  close(): void {
    this.#closed = true;
    this.#unlisten();
    this.#again?.cancel();
    this.#lead?.end(new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', { applied: false }));
  }

  #follow(): void {
    if (this.#closed) return;
    const { replica } = this.#parts;
    const { role, term } = replica.stats();
    const leads = role === 'leader';
    if (this.#lead !== undefined && (!leads || term !== this.#lead.term)) {
      this.#lead.end(new SparrowError('unavailable', 'META_LEAD_LOST', 'another node leads the metaserver now, or will'));
    }
    if (leads && this.#lead === undefined) this.#begin();
  }

  #begin(): void {
    const { reportMs = REPORT_MS, roundMs = ROUND_MS, onEvent = () => undefined, scheduler, ...parts } = this.#parts;
    this.#leadsBegun++;
    const lead: MetaLead = new MetaLead({
      ...parts,
      scheduler,
      reportMs,
      roundMs,
      onEvent,
      onOver: () => {
        if (this.#lead === lead) this.#lead = undefined;
        this.#again?.cancel();
        if (!this.#closed) this.#again = scheduler.after(AGAIN_MS, () => this.#follow(), true);
      },
    });
    this.#lead = lead;
  }
}
