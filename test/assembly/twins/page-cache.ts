/** The twin of the page cache (assembly/page-cache.ts): CLOCK with pins. Frames are numbers, pages are names. */
export class PageCacheTwin {
  readonly pins: Set<number> = new Set();
  readonly #frames: ({ page: string; referenced: boolean } | undefined)[];
  #hand = 0;

  constructor(frames: number) {
    this.#frames = Array.from({ length: frames });
  }

  /** The page's frame, marked as used. */
  find(page: string): number | undefined {
    const frame = this.#frames.findIndex((held) => held?.page === page);
    if (frame < 0) return undefined;
    this.#frames[frame]!.referenced = true;
    return frame;
  }

  /** Empties a frame for a page to come. */
  victim(): number {
    for (;;) {
      const frame = this.#hand;
      this.#hand = (this.#hand + 1) % this.#frames.length;
      const held = this.#frames[frame];
      if (held?.referenced) held.referenced = false;
      else if (!this.pins.has(frame)) {
        this.#frames[frame] = undefined;
        return frame;
      }
    }
  }

  link(frame: number, page: string): void {
    this.#frames[frame] = { page, referenced: false };
  }

  drop(belongs: (page: string) => boolean): void {
    for (const [frame, held] of this.#frames.entries()) if (held && belongs(held.page)) this.#frames[frame] = undefined;
  }

  get used(): number {
    return this.#frames.filter((held) => held !== undefined).length;
  }
}
