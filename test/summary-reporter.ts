/**
 * Ends a test run with one plain line for programs that read its output: `N passed, N failed`, and `, N skipped` when there are any.
 * A file that does not load and an error outside of a test count as failed tests.
 */
import type { Reporter, TestModule } from 'vitest/node';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const line = summaryLine(count(modules, errors.length));
    // At exit, because the other reporters print their part of the end after this call.
    process.once('exit', () => process.stdout.write(`${line}\n`));
  }
}

export function summaryLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

function count(modules: readonly TestModule[], errors: number): Counts {
  const counts: Counts = { passed: 0, failed: errors, skipped: 0 };
  for (const module of modules) {
    const failedBefore = counts.failed;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      // A test that never got to run, in a run that ended, did not pass.
      counts[state === 'pending' ? 'failed' : state] += 1;
    }
    if (module.state() === 'failed' && counts.failed === failedBefore) counts.failed += 1;
  }
  return counts;
}
