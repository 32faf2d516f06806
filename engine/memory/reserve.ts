/**
 * A part of linear memory that is set aside when an engine is opened, for what must not fail because others have taken everything: the
 * scratch space of a flush, which is what gives memory back, and the window that a large value is read into. Address space at first;
 * it becomes memory when it is used. One of each serves all engines of a memory; it is as large as the one with the largest needs.
 */
import type { LinearMemory } from './linear-memory.ts';

export class Reserve {
  readonly #memory: LinearMemory;
  #address = 0;
  #bytes = 0;
  #taken = false;

  constructor(memory: LinearMemory) {
    this.#memory = memory;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Makes it at least so large, unless somebody has it: who wants more than there is gets nothing. `exhausted/MEMORY_BUDGET` when there is no
   * room; it is as it was then.
   */
  require(bytes: number): void {
    if (bytes <= this.#bytes || this.#taken) return;
    const address = this.#memory.allocate(bytes);
    if (this.#bytes > 0) this.#memory.free(this.#address, this.#bytes);
    this.#address = address;
    this.#bytes = bytes;
  }

  /** Its address, for one who gives it back; undefined when it is too small, or taken. */
  take(bytes: number): number | undefined {
    if (this.#taken || bytes > this.#bytes) return undefined;
    this.#taken = true;
    return this.#address;
  }

  give(): void {
    this.#taken = false;
  }

  /** Its address, at least so large, for one who needs it until somebody asks for it again. */
  window(bytes: number): number {
    this.require(bytes);
    return this.#address;
  }
}
