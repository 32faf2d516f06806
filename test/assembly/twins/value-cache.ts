/** The twin of the value cache (assembly/value-cache.ts): CLOCK over a ring of entries of any size. A key names owner and pointer. */
type Entry = { bytes: number; key: string | undefined; referenced: boolean };

const HEADER_BYTES = 32;

export class ValueCacheTwin {
  readonly #ringBytes: number;
  readonly #entriesMax: number;
  #ring: Entry[];
  /** Index in the ring of the entry where the next one goes. */
  #hand = 0;

  constructor(ringBytes: number, entriesMax: number) {
    this.#ringBytes = ringBytes;
    this.#entriesMax = entriesMax;
    this.#ring = [{ bytes: ringBytes, key: undefined, referenced: false }];
  }

  get keys(): string[] {
    return this.#ring.flatMap(({ key }) => (key === undefined ? [] : [key]));
  }

  find(key: string): boolean {
    const entry = this.#ring.find((each) => each.key === key);
    if (entry) entry.referenced = true;
    return entry !== undefined;
  }

  /** Position of the entry in the ring, or undefined. */
  reserve(valueBytes: number): number | undefined {
    const need = Math.ceil((HEADER_BYTES + valueBytes) / 32) * 32;
    if (need > Math.floor(this.#ringBytes / 4)) return undefined;
    let taken = 0;
    let at = this.#hand;
    while (taken < need || this.keys.length >= this.#entriesMax) {
      if (at === this.#ring.length) at = taken = 0;
      const entry = this.#ring[at]!;
      if (entry.key !== undefined && entry.referenced) {
        entry.referenced = false;
        at++;
        taken = 0;
        continue;
      }
      entry.key = undefined;
      entry.referenced = false;
      taken += entry.bytes;
      at++;
    }
    let first = at;
    for (let bytes = 0; bytes < taken;) bytes += this.#ring[--first]!.bytes;
    const room: Entry[] = [{ bytes: need, key: undefined, referenced: false }];
    if (taken > need) room.push({ bytes: taken - need, key: undefined, referenced: false });
    this.#ring.splice(first, at - first, ...room);
    const position = this.#ring.slice(0, first).reduce((sum, { bytes }) => sum + bytes, 0);
    this.#hand = position + need === this.#ringBytes ? 0 : first + 1;
    return position;
  }

  commit(position: number, key: string): void {
    let at = 0;
    for (const entry of this.#ring) {
      if (at === position) entry.key = key;
      at += entry.bytes;
    }
  }

  drop(belongs: (key: string) => boolean): void {
    for (const entry of this.#ring) {
      if (entry.key === undefined || !belongs(entry.key)) continue;
      entry.key = undefined;
      entry.referenced = false;
    }
  }
}
