/** The twin of the page cache (assembly/page-cache.ts): CLOCK with pins, and a queue of cold pages. Frames are numbers, pages have names. */
const CORRELATED_LOADS = 32;

export interface TwinPage {
  readonly name: string;
  readonly fileId: number;
  readonly page: number;
}

interface Held {
  readonly page: TwinPage;
  referenced: boolean;
  cold: boolean;
  readonly stamp: number;
}

export class PageCacheTwin {
  readonly pins: Set<number> = new Set();
  readonly #frames: (Held | undefined)[];
  readonly #capacity: number;
  /** Last one first. */
  readonly #free: number[] = [];
  #fresh = 0;
  #hand = 0;
  #loads = 0;
  readonly #queue: number[] = [];
  readonly #ghosts: Uint32Array;

  constructor(frames: number) {
    this.#frames = Array.from({ length: frames });
    this.#capacity = Math.floor(frames / 16);
    this.#ghosts = new Uint32Array(2 * 2 ** Math.ceil(Math.log2(frames)));
  }

  /** The page's frame, marked as used by a point read or a scan. */
  find(page: TwinPage, scan: boolean): number | undefined {
    const frame = this.#frames.findIndex((held) => held?.page.name === page.name);
    if (frame < 0) return undefined;
    const held = this.#frames[frame]!;
    if (!scan || !held.cold || this.#loads - held.stamp > CORRELATED_LOADS) held.referenced = true;
    return frame;
  }

  /** A free frame for a page to come. */
  room(scan: boolean): number {
    if (this.#free.length > 0) return this.#free.at(-1)!;
    if (this.#fresh < this.#frames.length) return this.#fresh;
    const frame = (scan ? this.#oldestCold() : undefined) ?? this.#victim();
    this.#release(frame);
    return frame;
  }

  link(frame: number, page: TwinPage, scan: boolean): void {
    if (frame === this.#fresh) this.#fresh++;
    else this.#free.splice(this.#free.indexOf(frame), 1);
    const held = { page, referenced: false, cold: false, stamp: this.#loads++ };
    this.#frames[frame] = held;
    if (!scan) return;
    const mark = markOf(page);
    if (this.#ghosts[this.#slot(mark)] === mark) {
      this.#ghosts[this.#slot(mark)] = 0;
      held.referenced = true;
    } else if (this.#queue.length < this.#capacity) {
      this.#queue.push(frame);
      held.cold = true;
    }
  }

  /** `byPage`: frames get free in the order of their pages, else in their own. */
  drop(fileId: number, byPage: boolean): void {
    const frames = [...this.#frames.keys()].filter((frame) => this.#frames[frame]?.page.fileId === fileId);
    if (byPage) frames.sort((a, b) => this.#frames[a]!.page.page - this.#frames[b]!.page.page);
    for (const frame of frames) this.#release(frame);
  }

  get used(): number {
    return this.#frames.filter((held) => held !== undefined).length;
  }

  #victim(): number {
    for (;;) {
      const frame = this.#hand;
      this.#hand = (this.#hand + 1) % this.#frames.length;
      const held = this.#frames[frame]!;
      if (held.cold) continue;
      if (held.referenced) held.referenced = false;
      else if (!this.pins.has(frame)) return frame;
    }
  }

  #oldestCold(): number | undefined {
    while (this.#queue.length === this.#capacity) {
      const frame = this.#queue.shift()!;
      const held = this.#frames[frame];
      if (!held?.cold) continue;
      held.cold = false;
      if (held.referenced || this.pins.has(frame)) continue;
      const mark = markOf(held.page);
      this.#ghosts[this.#slot(mark)] = mark;
      return frame;
    }
    return undefined;
  }

  #release(frame: number): void {
    this.#frames[frame] = undefined;
    this.#free.push(frame);
  }

  #slot(mark: number): number {
    return (mark >>> 1) & (this.#ghosts.length - 1);
  }
}

function markOf({ fileId, page }: TwinPage): number {
  const product = Math.imul(fileId ^ Math.imul(page, 0x9e3779b1), 0x85ebca6b);
  return ((product ^ (product >>> 15)) | 1) >>> 0;
}
