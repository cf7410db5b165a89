import { defineConfig } from 'vitest/config';
import { CountReporter } from './scripts/count-reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup.ts'],
    setupFiles: ['test/seed.ts'],
    testTimeout: 120_000,
    // Files do not know of each other: every core takes one, where vitest would leave one core to itself.
    maxWorkers: '100%',
    reporters: ['dot', new CountReporter()],
  },
});
