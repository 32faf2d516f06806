import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { summaryLine } from './summary-reporter.ts';

const VITEST = fileURLToPath(import.meta.resolve('vitest/package.json').replace('package.json', 'vitest.mjs'));
const REPORTER = new URL('summary-reporter.ts', import.meta.url).href;

const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-summary-'));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('ends a run with one plain line that counts files which do not load as failed', () => {
  const config = `import { SummaryReporter } from '${REPORTER}';
    export default { test: { globals: true, include: ['*.check.js'], reporters: ['default', new SummaryReporter()] } };`;
  writeFileSync(join(directory, 'vitest.config.mjs'), config);
  writeFileSync(join(directory, 'mixed.check.js'), `it('a', () => {}); it('b', () => { throw new Error('no') }); it.skip('c', () => {});`);
  writeFileSync(join(directory, 'broken.check.js'), `throw new Error('does not load');`);
  const run = spawnSync(process.execPath, [VITEST, 'run', '--root', directory], {
    encoding: 'utf8',
    cwd: directory,
    env: cleanEnvironment(),
  });
  expect(run.status).not.toBe(0);
  expect(run.stdout.trimEnd().split('\n').at(-1)).toBe('1 passed, 2 failed, 1 skipped');
});

it('names skipped tests only when there are any', () => {
  expect(summaryLine({ passed: 3, failed: 0, skipped: 0 })).toBe('3 passed, 0 failed');
});

/** Without what the outer run set for its workers. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VITEST|VITE_|NODE_ENV|TEST)/.test(name)));
}
