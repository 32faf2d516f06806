/** Appends to one follower that are not answered yet, oldest first; bounded in number and in bytes. */
export interface InflightLimits {
  messages: number;
  /** One append may go beyond it. */
  bytes: number;
}

export class Inflight {
  readonly #limits: InflightLimits;
  readonly #sent: { last: number; bytes: number }[] = [];
  #bytes = 0;

  constructor(limits: InflightLimits) {
    this.#limits = limits;
  }

  get full(): boolean {
    return this.#sent.length >= this.#limits.messages || this.#bytes >= this.#limits.bytes;
  }

  get messages(): number {
    return this.#sent.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** An append that ends with entry `last` has left. */
  add(last: number, bytes: number): void {
    this.#sent.push({ last, bytes });
    this.#bytes += bytes;
  }

  /** Everything up to `index` has arrived. */
  free(index: number): void {
    let count = 0;
    while (count < this.#sent.length && this.#sent[count]!.last <= index) this.#bytes -= this.#sent[count++]!.bytes;
    if (count > 0) this.#sent.splice(0, count);
  }

  clear(): void {
    this.#sent.length = 0;
    this.#bytes = 0;
  }
}
