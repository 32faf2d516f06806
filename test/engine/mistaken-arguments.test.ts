/** What plain JavaScript lets a caller get wrong is refused with the field, before anything is done. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backup, createResources, createTableWriter, type Engine, open, openInMemory, restore } from '../../engine/index.ts';

let directory: string;
let engine: Engine;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-mistakes-'));
  engine = await openInMemory();
});
afterEach(async () => {
  await engine.close();
  rmSync(directory, { recursive: true, force: true });
});

test('a directory that is a file, or lies in one, is refused by its name', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, 'not a store');
  const store = join(directory, 'store');
  await using opened = await open(store);
  await opened.put('key', 'value');
  await opened.backup(join(directory, 'backups'));
  for (const path of [file, join(file, 'below')]) {
    const refusal = { kind: 'invalid', code: 'NO_DIRECTORY', message: expect.stringContaining(path), details: { path } };
    await expect(open(path)).rejects.toMatchObject(refusal);
    await expect(opened.checkpoint(path)).rejects.toMatchObject(refusal);
    await expect(backup(opened, path)).rejects.toMatchObject(refusal);
    await expect(restore(join(directory, 'backups'), path)).rejects.toMatchObject(refusal);
    expect(() => createTableWriter(path)).toThrow(expect.objectContaining({ code: 'NO_DIRECTORY' }));
  }
});

test('a component of another name is refused instead of passed over', async () => {
  const components = { resource: {} } as object;
  await expect(open(join(directory, 'store'), {}, components)).rejects.toMatchObject({
    code: 'OPTION_UNKNOWN',
    details: { field: 'resource' },
  });
});

test('a range whose bounds are all undefined deletes nothing', async () => {
  await engine.put('key', 'value');
  const forgotten = { prefix: undefined } as object;
  const refusal = { kind: 'invalid', code: 'SCAN_BOUNDS', details: { field: 'prefix' } };
  await expect(engine.deleteRange(forgotten)).rejects.toMatchObject(refusal);
  await expect(engine.write([{ type: 'deleteRange', ...forgotten }])).rejects.toMatchObject(refusal);
  for (const range of [undefined, null, 'k']) {
    await expect(engine.deleteRange(range as never)).rejects.toMatchObject({ code: 'TYPE', details: { field: 'range' } });
  }
  expect(engine.hasSync('key')).toBe(true);
  await engine.deleteRange({ gte: 'k', lt: undefined } as object);
  expect(engine.hasSync('key')).toBe(false);
});

test('a batch that is no array is refused', async () => {
  for (const batch of [undefined, null, 'put', { type: 'delete', key: 'key' }]) {
    await expect(engine.write(batch as never)).rejects.toMatchObject({ kind: 'invalid', code: 'TYPE', details: { field: 'batch' } });
  }
});

test('a mistaken operation is named by its place in the batch', async () => {
  const batch = [
    { type: 'put', key: 'a', value: 'v' },
    { type: 'put', key: '', value: 'v' },
  ] as const;
  await expect(engine.write(batch)).rejects.toMatchObject({
    kind: 'invalid',
    code: 'KEY_EMPTY',
    message: expect.stringMatching(/^operation 1 of the batch: key is empty/) as string,
    details: { field: 'key', operation: 1 },
  });
  expect(engine.hasSync('a')).toBe(false);
});

test('settings and components that are no objects are refused', async () => {
  for (const given of [null, 7, 'small']) {
    const path = join(directory, 'settings');
    await expect(open(path, given as never)).rejects.toMatchObject({ code: 'TYPE', details: { field: 'settings' } });
    await expect(open(path, {}, given as never)).rejects.toMatchObject({ code: 'TYPE', details: { field: 'options' } });
    expect(() => createResources(given as never)).toThrow(expect.objectContaining({ code: 'TYPE' }));
  }
});

test('an event that there is not cannot be listened for', () => {
  expect(() => engine.events.on('flushed' as never, () => undefined)).toThrow(
    expect.objectContaining({ code: 'OPTION_UNKNOWN', message: expect.stringContaining("'flushed'; known are: flush-begun") }),
  );
});
