/**
 * Runs the golden scripts of test/scripts/raft. UPDATE_SCRIPTS=1 writes what happens anew; read the difference before committing it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { replay } from './replay.ts';

const DIRECTORY = join(import.meta.dirname, '../../scripts/raft');
const scripts = readdirSync(DIRECTORY).filter((name) => name.endsWith('.txt'));

describe('raft scripts', () => {
  it('are there', () => expect(scripts.length).toBeGreaterThan(50));

  it.each(scripts)('%s', (name) => {
    const path = join(DIRECTORY, name);
    const text = readFileSync(path, 'utf8');
    const written = replay(text);
    if (process.env['UPDATE_SCRIPTS'] === '1') writeFileSync(path, written);
    else expect(written).toBe(text);
  });
});
