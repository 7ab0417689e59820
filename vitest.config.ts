import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // Real processes, browsers and package registries on two shared cores: what fails once is tried again there, never on a desk.
    retry: process.env.CI ? 2 : 0,
    projects: [
      {
        extends: true,
        test: { name: 'parts', include: ['test/{unit,integration,infra,simulation}/**/*.test.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'product',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          // Each file starts the whole product, and mostly waits for it: two at once, after everything else.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
        },
      },
    ],
  },
})
