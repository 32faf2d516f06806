/** What the benchmark uses of @nxtedition/rocksdb, which ships no types. */
declare module '@nxtedition/rocksdb' {
  interface RocksBatch {
    _put(key: Buffer, value: Buffer): void;
    _del(key: Buffer): void;
    _clear(): void;
    _writeSync(options: { sync: boolean }): void;
    close(): Promise<void>;
  }
  interface RocksIterator {
    nextv(size: number): Promise<[Buffer, Buffer][]>;
    close(): Promise<void>;
    _seekSync(target: Buffer): void;
    /** Keys and values in turn. */
    _nextvSync(size: number, options: object): { rows: Buffer[]; finished: boolean };
    _closeSync(): void;
  }
  class RocksLevel {
    constructor(location: string, options: object);
    open(): Promise<void>;
    close(): Promise<void>;
    put(key: Buffer, value: Buffer): Promise<void>;
    batch(operations: object[], options: { sync: boolean }): Promise<void>;
    getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]>;
    iterator(options: object): RocksIterator;
    _iterator(options: object): RocksIterator;
    _chainedBatch(): RocksBatch;
    _getManySync(keys: Buffer[], options: object): (Buffer | undefined)[];
  }
}
