/**
 * How much memory indexes and filters of tables may take as a whole. A table whose index has room is *whole* in memory; one that finds none
 * is *paged*: only the top of its index stays, and filter and index come through the page cache, a page at a time.
 *
 * A paged table that had to read as many pages of its filter and index as would have brought them whole, twice over, asks again. Then
 * tables that no read has looked into since such a table asked before make room, and become paged. So what is spent on moving is bounded
 * by what was spent on reading, and the budget goes to those that are read most.
 */

/** A table that holds a part of the budget. */
export interface WholeTable {
  readonly indexBytes: number;
  /** Whether a read has looked into it since this was asked last. */
  takeUsed(): boolean;
  /** Becomes paged. What it held has been given back when it returns. */
  becomePaged(): void;
}

export class IndexBudget {
  readonly bytesMax: number;
  #bytes = 0;
  #pagedTables = 0;
  readonly #whole = new Set<WholeTable>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }
  get wholeTables(): number {
    return this.#whole.size;
  }
  get pagedTables(): number {
    return this.#pagedTables;
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.bytesMax;
  }

  /** Makes tables paged that are not used. Whether there is room then. */
  makeRoom(bytes: number): boolean {
    const unused = [...this.#whole].filter((table) => !table.takeUsed());
    for (const table of unused) {
      if (this.hasRoom(bytes)) break;
      table.becomePaged();
    }
    return this.hasRoom(bytes);
  }

  /** The table is whole from now on. */
  enter(table: WholeTable): void {
    this.#whole.add(table);
    this.#bytes += table.indexBytes;
  }

  leave(table: WholeTable): void {
    if (this.#whole.delete(table)) this.#bytes -= table.indexBytes;
  }

  /** Tables that are paged: `by` more, or less. */
  countPaged(by: number): void {
    this.#pagedTables += by;
  }
}
