import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { SummaryReporter } from './test/summary-reporter.ts';

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A process for each file: engines take address space and locks that must not outlive their file.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default', new SummaryReporter()],
    coverage: { provider: 'v8', include: ['base/**', 'engine/**', 'client/**', 'server/**', 'cli/**', 'level/**', 'proto/*.ts'] },
  },
});

export default config;
