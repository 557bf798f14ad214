/** When ended runs are deleted: at intervals on engine time, one sweep at a time, whatever a sweep came to. */
import { expect, test } from "vitest";
import { Retention } from "../../../src/engine/retention.ts";
import { MemoryLogger } from "../../support/memory-logger.ts";
import { VirtualHost } from "../../support/virtual-host.ts";

const OPTIONS = { everyMs: 500, maxCount: 7 };

function retentionOn(host: VirtualHost, retain: () => Promise<number>) {
  const log = new MemoryLogger();
  const asked: unknown[] = [];
  const journal = {
    retain: (rules: unknown, now: number) => {
      asked.push({ rules, now });
      return retain();
    },
  };
  return { retention: new Retention(OPTIONS, { host, journal, log }), asked, log };
}

test("it sweeps after each interval with the rules it was given", async () => {
  const host = new VirtualHost();
  const start = host.now();
  const { retention, asked, log } = retentionOn(host, async () => 3);
  retention.start();
  await host.advance(499);
  expect(asked).toEqual([]);
  await host.advance(1);
  expect(asked).toEqual([{ rules: OPTIONS, now: start + 500 }]);
  expect(log.lines).toMatchObject([{ level: "info", deleted: 3 }]);
  await host.advance(500);
  expect(asked).toHaveLength(2);
  await retention.stop();
  await host.advance(5_000);
  expect(asked).toHaveLength(2);
});

test("the next interval begins when a sweep is done, and a sweep that fails is not the last", async () => {
  const host = new VirtualHost();
  const first = Promise.withResolvers<number>();
  const { retention, asked, log } = retentionOn(host, () => first.promise);
  retention.start();
  await host.advance(2_000);
  expect(asked).toHaveLength(1);
  first.reject(new Error("no luck"));
  await host.advance(0);
  await host.advance(500);
  expect(asked).toHaveLength(2);
  expect(log.lines).toMatchObject([{ level: "warn" }, { level: "warn" }]);
  await retention.stop();
});
