import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadSettings, parseListen, resolveSettings } from '../../server/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-settings-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(text: string): string {
  const path = join(directory, 'server.yaml');
  writeFileSync(path, text);
  return path;
}

describe('settings', () => {
  it('have defaults for all but the directory, and are frozen', () => {
    const settings = resolveSettings({ data: '/data' });
    expect(settings).toMatchObject({ data: '/data', listen: '127.0.0.1:7400', maxKeyBytes: 4000, raft: { tickMs: 100 } });
    expect(Object.isFrozen(settings)).toBe(true);
    expect(Object.isFrozen(settings.raft)).toBe(true);
    expect(() => resolveSettings({} as never)).toThrow(
      expect.objectContaining({ code: 'OPTION_RANGE', details: { field: 'data' } }) as Error,
    );
  });

  it('come out of a file, flags win', () => {
    const path = file('data: /from-file\nlisten: 127.0.0.1:1\nmaxValueBytes: 1000\nraft:\n  tickMs: 50\n');
    expect(loadSettings(path, { listen: '127.0.0.1:2', data: undefined as never })).toMatchObject({
      data: '/from-file',
      listen: '127.0.0.1:2',
      maxValueBytes: 1000,
      raft: { tickMs: 50, electionTicks: 10 },
    });
    expect(loadSettings(file(''), { data: '/d' })).toMatchObject({ data: '/d' });
    const place = { zone: 'default', pool: 'default', role: 'all', labels: {} };
    expect(loadSettings(file(''), { data: '/d' })).toMatchObject(place);
    const placed = file('data: /d\nzone: north\npool: fast\nrole: node\nlabels:\n  rack: r7\n');
    expect(loadSettings(placed, {})).toMatchObject({ zone: 'north', pool: 'fast', role: 'node', labels: { rack: 'r7' } });
  });

  it.each([
    ['data: d\nmaxValuesBytes: 1', 'OPTION_UNKNOWN', 'maxValuesBytes'],
    ['data: d\nraft: {tickms: 1}', 'OPTION_UNKNOWN', 'raft.tickms'],
    ['data: d\nrole: king', 'OPTION_RANGE', 'role'],
    ['data: d\nzone: a b', 'OPTION_RANGE', 'zone'],
    ['data: d\nlabels: {rack: ""}', 'OPTION_RANGE', 'labels.rack'],
    ['data: d\nraft: {electionTicks: 2, heartbeatTicks: 2}', 'OPTION_RANGE', 'raft.heartbeatTicks'],
    ['data: d\nengine: {maxKeyBytes: 100}', 'OPTION_UNKNOWN', 'engine.maxKeyBytes'],
    ['data: d\nengine: {maxValueBytes: 100}', 'OPTION_UNKNOWN', 'engine.maxValueBytes'],
    ['data: d\nengine: {maxBatchBytes: 1048576}', 'OPTION_UNKNOWN', 'engine.maxBatchBytes'],
    ['data: d\nengine: {durability: synced}', 'OPTION_UNKNOWN', 'engine.durability'],
    ['data: d\nmaxKeyBytes: 5000', 'OPTION_RANGE', 'maxKeyBytes'],
    ['data: d\nmaxWriteBytes: 2048', 'OPTION_RANGE', 'maxWriteBytes'],
    ['data: d\nraft: {tickMs: many}', 'OPTION_RANGE', 'raft.tickMs'],
    ['data: d\nlisten: somewhere', 'OPTION_RANGE', 'listen'],
  ])('that are wrong are named: %j', (text, code, field) => {
    const path = file(text);
    expect(() => loadSettings(path, {})).toThrow(
      expect.objectContaining({ kind: 'invalid', code, details: expect.objectContaining({ field, file: path }) as object }) as Error,
    );
  });

  it('need a file that can be read and holds names', () => {
    expect(() => loadSettings(join(directory, 'none.yaml'), {})).toThrow(/none\.yaml/);
    expect(() => loadSettings(file('- a\n- b\n'), {})).toThrow(expect.objectContaining({ code: 'CONFIG' }) as Error);
    expect(() => loadSettings(file('a: [\n'), {})).toThrow(expect.objectContaining({ code: 'CONFIG' }) as Error);
  });

  it('know addresses', () => {
    expect(parseListen('localhost:80')).toEqual({ host: 'localhost', port: 80 });
    expect(parseListen('[::1]:0')).toEqual({ host: '::1', port: 0 });
    for (const wrong of ['', ':1', 'a', 'a:b', 'a:65536', '::1:80']) expect(() => parseListen(wrong)).toThrow(/HOST:PORT/);
  });
});
