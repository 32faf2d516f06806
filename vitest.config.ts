import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { COMPILE_CACHE } from './test/compile-cache.ts';
import { SummaryReporter } from './test/summary-reporter.ts';

// Every process that a test runs in, or starts, inherits it.
process.env.NODE_COMPILE_CACHE ??= COMPILE_CACHE;

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/compile-cache.ts'],
    // A process for each file: engines take address space and locks that must not outlive their file.
    pool: 'forks',
    maxWorkers: 2,
    // Against hanging only: what has to be quick says so itself.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    reporters: ['default', new SummaryReporter()],
    coverage: { provider: 'v8', include: ['base/**', 'engine/**', 'client/**', 'server/**', 'cli/**', 'level/**', 'proto/*.ts'] },
  },
});

export default config;
