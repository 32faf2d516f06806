/** What of the outside world decides how calls travel: time, timers, chance, and connections. A test gives others. */
import type { Clock, Random, Scheduler } from '../base/env.ts';
import { NodeClock, NodeRandom, NodeScheduler } from '../base/node/index.ts';
import type { OpenConnection } from './connection.ts';
import { GrpcConnection } from './grpc-connection.ts';
import type { Settings } from './connect-options.ts';

export interface Surroundings {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly scheduler: Pick<Scheduler, 'after'>;
  readonly random: Pick<Random, 'u32'>;
  readonly openConnection: OpenConnection;
}

export function realSurroundings({ transport, tls }: Settings): Surroundings {
  return {
    clock: new NodeClock(),
    scheduler: new NodeScheduler(),
    random: new NodeRandom(),
    openConnection: (address, events) => new GrpcConnection(address, { transport, tls }, events),
  };
}

/** From 0 to less than 1. */
export function fraction(random: Pick<Random, 'u32'>): number {
  return random.u32() / 2 ** 32;
}
