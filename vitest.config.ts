/**
 * One vitest for every suite, so that one report counts everything. Suites are projects only where their needs differ:
 * end-to-end tests start real processes and get minutes, everything else is expected to answer in seconds. Workers are
 * few because tests start daemons, threads and fsyncs of their own.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  // Tests import `goclaw` from the sources, as the launcher does in a checkout.
  ssr: { resolve: { conditions: ["goclaw-source"] } },
  test: {
    environment: "node",
    pool: "forks",
    execArgv: ["--conditions=goclaw-source"],
    maxWorkers: 2,
    teardownTimeout: 30_000,
    reporters: ["default", ["json", { outputFile: ".vitest/report.json" }]],
    projects: [
      {
        extends: true,
        test: {
          name: "fast",
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**"],
          testTimeout: 20_000,
          hookTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
