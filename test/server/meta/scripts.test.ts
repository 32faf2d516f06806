/**
 * Runs the golden scripts of test/scripts/placement. UPDATE_SCRIPTS=1 writes what happens anew; read the difference before committing it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ScriptWorld } from './script-world.ts';

const DIRECTORY = join(import.meta.dirname, '../../scripts/placement');
const scripts = readdirSync(DIRECTORY).filter((name) => name.endsWith('.txt'));

describe('placement scripts', () => {
  it('are there', () => expect(scripts.length).toBeGreaterThan(12));

  it.each(scripts)('%s', (name) => {
    const path = join(DIRECTORY, name);
    const text = readFileSync(path, 'utf8');
    const written = replay(text);
    if (process.env['UPDATE_SCRIPTS'] === '1') writeFileSync(path, written);
    else expect(written).toBe(text);
  });
});

/** Blocks of commands, `----`, and what happens. */
function replay(text: string): string {
  const world = new ScriptWorld();
  const blocks = text.trimEnd().split(/\n\n+/);
  const replayed = blocks.map((block) => {
    const lines = block.split('\n');
    const end = lines.indexOf('----');
    const commands = end < 0 ? lines : lines.slice(0, end);
    const run = commands.filter((line) => line !== '' && !line.startsWith('#'));
    if (run.length === 0) return block;
    return [...commands, '----', ...run.map((line) => world.execute(line))].join('\n');
  });
  return `${replayed.join('\n\n')}\n`;
}
