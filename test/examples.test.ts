/**
 * The examples in the documents are programs that run: each block of TypeScript is run by itself, in an empty directory, against the built
 * package, and prints what its comments say (`// → text`, a line each, in order). Those that talk to a server are run by test/e2e instead.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './project-files.ts';

const DOCUMENTS = ['README.md', 'docs/engine.md'];
const TIMEOUT_MS = 30_000;

interface Example {
  document: string;
  line: number;
  code: string;
}

function examplesOf(document: string): Example[] {
  const text = readFileSync(join(ROOT, document), 'utf8');
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map((match) => ({
    document,
    line: text.slice(0, match.index).split('\n').length,
    code: match[1]!,
  }));
}

/** What the program says that it prints. */
function promised(code: string): string[] {
  return [...code.matchAll(/\/\/ → (.*)$/gm)].map((match) => match[1]!.trimEnd());
}

describe('examples', () => {
  const examples = DOCUMENTS.filter((document) => existsSync(join(ROOT, document)))
    .flatMap(examplesOf)
    .filter(({ code }) => !code.includes('sparrowkv/client'));

  it('are found', () => {
    expect(examples.length).toBeGreaterThan(1);
  });

  it.each(examples)(
    '$document, line $line, runs and prints what it says',
    ({ code }) => {
      // Inside of the package, so that its own name leads to what was built.
      mkdirSync(join(ROOT, 'build'), { recursive: true });
      const directory = mkdtempSync(join(ROOT, 'build', 'example-'));
      try {
        writeFileSync(join(directory, 'example.mts'), code);
        const run = spawnSync(process.execPath, ['example.mts'], { cwd: directory, encoding: 'utf8', timeout: TIMEOUT_MS });
        expect(run.stderr).toBe('');
        expect(run.status).toBe(0);
        const lines = promised(code);
        if (lines.length > 0) expect(run.stdout.trimEnd().split('\n')).toEqual(lines);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
    TIMEOUT_MS,
  );
});
