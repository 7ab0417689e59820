import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 120_000,
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
          // Each file starts the whole product: one at a time, so that they do not starve one another.
          fileParallelism: false,
          testTimeout: 60_000,
        },
      },
    ],
  },
})
