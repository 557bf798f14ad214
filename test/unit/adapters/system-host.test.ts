import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import { SystemHost } from "../../../src/adapters/system-host.ts";
import { parseRunId } from "../../../src/base/ids.ts";
import { TIMER_MAX_MS } from "../../../src/base/time.ts";

const modulePath = new URL("../../../src/adapters/system-host.ts", import.meta.url).href;

describe("SystemHost", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("tells engine time close to the wall clock and never backwards", () => {
    const host = new SystemHost();
    expect(Math.abs(host.now() - Date.now())).toBeLessThan(1_000);
    let last = host.now();
    for (let round = 0; round < 10_000; round++) {
      const next = host.now();
      expect(next).toBeGreaterThanOrEqual(last);
      last = next;
    }
  });

  it("does not follow a jump of the system clock", () => {
    const host = new SystemHost();
    const before = host.now();
    const jump = vi.spyOn(Date, "now").mockReturnValue(before + 3_600_000);
    expect(host.now() - before).toBeLessThan(60_000);
    jump.mockRestore();
  });

  it("never fires a timer early nor synchronously", async () => {
    const host = new SystemHost();
    const earlyMs = await Promise.all(
      Array.from({ length: 40 }, (_, at) => {
        const delayMs = at * 0.37;
        const startedMs = host.elapsedMs();
        let returned = false;
        return new Promise<number>((resolve, reject) => {
          host.setTimer(delayMs, () => {
            if (!returned) reject(new Error("fired synchronously"));
            resolve(startedMs + delayMs - host.elapsedMs());
          });
          returned = true;
        });
      }),
    );
    expect(Math.max(...earlyMs)).toBeLessThanOrEqual(0);
  });

  it("keeps a timer of a year apart from setTimeout's limit of 24.8 days", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "performance"] });
    const host = new SystemHost();
    const fired = vi.fn();
    host.setTimer(TIMER_MAX_MS, fired);
    vi.advanceTimersByTime(TIMER_MAX_MS - 1);
    expect(fired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(2);
    expect(fired).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("cancels a timer, again and after it fired", async () => {
    const host = new SystemHost();
    const cancelled = vi.fn();
    const handle = host.setTimer(0, cancelled);
    handle.cancel();
    handle.cancel();
    const fired = await new Promise<() => void>((resolve) => {
      const timer = host.setTimer(2, () => resolve(() => timer.cancel()));
    });
    fired();
    expect(cancelled).not.toHaveBeenCalled();
  });

  it("runs deferred work after what is queued and before any timer that is due", async () => {
    const host = new SystemHost();
    const order: string[] = [];
    const done = new Promise<void>((resolve) => {
      host.setTimer(0, () => {
        order.push("timer");
        resolve();
      });
    });
    const busyUntilMs = host.elapsedMs() + 5;
    while (host.elapsedMs() < busyUntilMs);
    host.defer(() => {
      order.push("first");
      host.defer(() => order.push("third"));
    });
    host.defer(() => order.push("second"));
    queueMicrotask(() => order.push("queued"));
    await done;
    expect(order.slice(0, 3)).toEqual(["queued", "first", "second"]);
    expect(order).toContain("timer");
  });

  it("lets the process end after close, and keeps it alive before", async () => {
    const program = (ending: string): string => `
      const { SystemHost } = await import(${JSON.stringify(modulePath)});
      const host = new SystemHost();
      host.setTimer(50, () => console.log("fired"));
      host.setTimer(3_600_000, () => {}).cancel();
      ${ending}`;
    const run = (source: string) =>
      promisify(execFile)(process.execPath, ["--input-type=module", "--eval", source]);
    expect((await run(program(""))).stdout).toBe("fired\n");
    expect(
      (await run(program("host.close(); host.setTimer(50, () => console.log('late'));"))).stdout,
    ).toBe("");
  });

  it("mints run ids that are ULIDs, unique and sorted by creation", () => {
    const host = new SystemHost();
    const ids = Array.from({ length: 5_000 }, () => host.newRunId());
    expect(ids.every((id) => parseRunId(id) !== undefined)).toBe(true);
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(new SystemHost().newRunId()).not.toBe(new SystemHost().newRunId());
  });

  it("hashes text as UTF-8 and bytes alike, and draws random hex", () => {
    const host = new SystemHost();
    const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(host.sha256("abc")).toBe(abc);
    expect(host.sha256(new Uint8Array([97, 98, 99]))).toBe(abc);
    expect(host.sha256("é")).toBe(host.sha256(new Uint8Array([0xc3, 0xa9])));
    expect(host.randomHex(16)).toMatch(/^[0-9a-f]{32}$/);
    expect(host.randomHex(16)).not.toBe(host.randomHex(16));
    const drawn = Array.from({ length: 1_000 }, () => host.random());
    expect(drawn.every((value) => value >= 0 && value < 1)).toBe(true);
  });
});
