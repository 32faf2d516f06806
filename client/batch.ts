/** The batch builder of the SDK. */
import type { Batch, Bytes } from './api.ts';
import { checkInteger, toBytes, toKey } from './arguments.ts';

export type BatchOperation =
  | { operation: { $case: 'put'; value: { key: Uint8Array; value: Uint8Array } } }
  | { operation: { $case: 'delete'; value: { key: Uint8Array } } };

export interface BatchCondition {
  key: Uint8Array;
  expected: { $case: 'absent'; value: boolean } | { $case: 'value'; value: Uint8Array } | { $case: 'version'; value: number };
}

export class WriteBatch implements Batch {
  /** In the shape of proto's WriteRequest. */
  readonly operationList: BatchOperation[] = [];
  readonly conditionList: BatchCondition[] = [];
  /** Of all keys and values. */
  bytes = 0;

  get operations(): number {
    return this.operationList.length;
  }

  put(key: Bytes, value: Bytes): this {
    const operation = { key: toKey(key), value: toBytes(value, 'value') };
    this.bytes += operation.key.length + operation.value.length;
    this.operationList.push({ operation: { $case: 'put', value: operation } });
    return this;
  }

  delete(key: Bytes): this {
    const operation = { key: toKey(key) };
    this.bytes += operation.key.length;
    this.operationList.push({ operation: { $case: 'delete', value: operation } });
    return this;
  }

  ifAbsent(key: Bytes): this {
    return this.#condition(key, { $case: 'absent', value: true });
  }

  ifValue(key: Bytes, value: Bytes): this {
    const expected = toBytes(value, 'value');
    this.bytes += expected.length;
    return this.#condition(key, { $case: 'value', value: expected });
  }

  ifVersion(key: Bytes, version: number): this {
    return this.#condition(key, { $case: 'version', value: checkInteger('version', version, 1, Number.MAX_SAFE_INTEGER) });
  }

  #condition(key: Bytes, expected: BatchCondition['expected']): this {
    const bytes = toKey(key);
    this.bytes += bytes.length;
    this.conditionList.push({ key: bytes, expected });
    return this;
  }
}
