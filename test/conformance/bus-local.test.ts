import { describe, expect, it } from "vitest";
import { LocalBus } from "../../src/adapters/local-bus.ts";
import type { BusMessage } from "../../src/ports/bus.ts";
import { MemoryLogger } from "../support/memory-logger.ts";
import { describeBus, Inbox } from "./bus-suite.ts";

describeBus("LocalBus", async () => {
  const bus = new LocalBus({ log: new MemoryLogger() });
  return {
    bus,
    listen: async (pattern) => {
      const inbox = new Inbox();
      bus.subscribe(pattern, (message) => inbox.add(message));
      return inbox;
    },
    end: async () => {},
  };
});

describe("LocalBus", () => {
  const message = (subject: string): BusMessage => ({ subject, id: "r/1", body: "{}" });

  it("matches patterns as NATS does", async () => {
    const bus = new LocalBus({ log: new MemoryLogger() });
    const heard: string[] = [];
    for (const pattern of ["a.b", "a.*", "*.b", "a.>", ">", "a", "a.b.c", "*", "a.b.>"]) {
      bus.subscribe(pattern, () => heard.push(pattern));
    }
    await bus.open();
    await bus.publish([message("a.b")]);
    expect(heard).toEqual(["a.b", "a.*", "*.b", "a.>", ">"]);
  });

  it("logs a subscriber that throws and still serves the others", async () => {
    const log = new MemoryLogger();
    const bus = new LocalBus({ log });
    const heard: string[] = [];
    bus.subscribe(">", () => {
      throw new Error("broken subscriber");
    });
    bus.subscribe(">", ({ subject }) => heard.push(subject));
    await bus.open();
    await bus.publish([message("a.b"), message("a.c")]);
    expect(heard).toEqual(["a.b", "a.c"]);
    expect(log.lines.map(({ level, subject }) => [level, subject])).toEqual([
      ["error", "a.b"],
      ["error", "a.c"],
    ]);
  });

  it("ends a subscription, from inside the call as well", async () => {
    const bus = new LocalBus({ log: new MemoryLogger() });
    const heard: string[] = [];
    const end = bus.subscribe(">", ({ subject }) => {
      heard.push(subject);
      end();
    });
    await bus.open();
    await bus.publish([message("a"), message("b")]);
    expect(heard).toEqual(["a"]);
  });
});
