/**
 * One vitest for every suite, so that one report counts everything. Suites are projects only where their needs differ:
 * end-to-end tests start real processes and get minutes, everything else is expected to answer in seconds. Workers are
 * few because tests start daemons, threads and fsyncs of their own.
 */
import { defineConfig } from "vitest/config";

const shared = {
  environment: "node",
  pool: "forks",
  // Tests resolve `goclaw` to the sources, as Node does with --conditions=goclaw-source.
  execArgv: ["--conditions=goclaw-source"],
} as const;

export default defineConfig({
  test: {
    maxWorkers: 2,
    reporters: ["default", ["json", { outputFile: ".vitest/report.json" }]],
    projects: [
      {
        extends: true,
        test: {
          ...shared,
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
          ...shared,
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          teardownTimeout: 30_000,
        },
      },
    ],
  },
});
