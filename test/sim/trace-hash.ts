/**
 * What happened, as one number: everything that a run does is folded in, in order. Two runs of a seed that differ anywhere differ here. Two
 * lanes of 32 bits, each multiplied and mixed for every word; not cryptographic.
 */
export class TraceHash {
  #low = 0x811c9dc5;
  #high = 0x9747b28c;
  #folded = 0;
  readonly #lines: string[] | undefined;

  /** `kept`: keeps what was folded as lines, for looking at. */
  constructor(kept = false) {
    this.#lines = kept ? [] : undefined;
  }

  get folded(): number {
    return this.#folded;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  fold(text: string, bytes?: Uint8Array): void {
    this.#folded++;
    for (let i = 0; i < text.length; i++) this.#word(text.charCodeAt(i));
    this.#word(0x10000 + (bytes?.length ?? 0));
    if (bytes) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const words = bytes.length & ~3;
      for (let at = 0; at < words; at += 4) this.#word(view.getInt32(at, true));
      for (let at = words; at < bytes.length; at++) this.#word(bytes[at]!);
    }
    this.#lines?.push(text);
  }

  get hex(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0');
  }

  #word(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#low ^= this.#low >>> 15;
    this.#high = Math.imul(this.#high + word, 0x85ebca6b);
    this.#high ^= this.#high >>> 13;
  }
}
