/** The whole conformance suite of abstract-level, on a real directory: in a process of its own, because its tests are tape's. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const RUN = fileURLToPath(new URL('conformance-run.ts', import.meta.url));
const TIMEOUT_MS = 120_000;
/** As many as the suite of abstract-level 3.1.1 makes of a database that supports everything. Fewer: it was cut short, or skipped a feature. */
const ASSERTIONS = 5168;

describe('the conformance suite of abstract-level', () => {
  it(
    'passes, every assertion of it',
    () => {
      const { stdout, stderr, status, signal } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', RUN], {
        encoding: 'utf8',
        timeout: TIMEOUT_MS,
        maxBuffer: 64 * 1024 * 1024,
      });
      expect(failures(stdout)).toEqual([]);
      expect({ stderr, status, signal }).toEqual({ stderr: '', status: 0, signal: null });
      expect(stdout.match(/^ok \d+/gm)).toHaveLength(ASSERTIONS);
      // Tape's last lines: everything planned was run.
      expect(stdout).toMatch(new RegExp(`^1\\.\\.${ASSERTIONS}\n# tests ${ASSERTIONS}\n# pass {2}${ASSERTIONS}\n\n# ok$`, 'm'));
    },
    TIMEOUT_MS + 10_000,
  );

  it('is seen failing when it does', () => {
    expect(failures('TAP version 13\n# put()\nok 1 a\n# get()\nnot ok 2 b\n  ---\n')).toEqual(['# get(): not ok 2 b']);
  });
});

/** Failed assertions of a TAP stream, each with the test that it belongs to. */
function failures(tap: string): string[] {
  const found: string[] = [];
  let test = '';
  for (const line of tap.split('\n')) {
    if (line.startsWith('# ')) test = line;
    else if (line.startsWith('not ok')) found.push(`${test}: ${line}`);
  }
  return found;
}
