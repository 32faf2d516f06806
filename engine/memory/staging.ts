/**
 * Areas in which logs keep large values from the moment that they are written until the log hands them to the operating system: a tick at
 * most. A log takes one with its first such value of a tick and gives it back with its write, so a few serve any number of engines.
 */
import { LEFT_BYTES, type LinearMemory } from './linear-memory.ts';

export const STAGING_BYTES: number = 1024 * 1024;
/** Areas that are kept for the next who wants one. */
const KEPT = 4;

export class Staging {
  readonly #memory: LinearMemory;
  readonly #free: number[] = [];

  constructor(memory: LinearMemory) {
    this.#memory = memory;
  }

  /** Address of STAGING_BYTES. `exhausted/MEMORY_BUDGET` when there is no room. */
  take(): number {
    return this.#free.pop() ?? this.#memory.allocate(STAGING_BYTES, LEFT_BYTES);
  }

  give(address: number): void {
    if (this.#free.length < KEPT) this.#free.push(address);
    else this.#memory.free(address, STAGING_BYTES);
  }
}
