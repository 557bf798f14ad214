import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { prettyLine } from "../../../src/adapters/log-line.ts";
import { createLogger, type LogOptions } from "../../../src/adapters/pino-logger.ts";
import { FaultError, fault } from "../../../src/base/fault.ts";
import type { Logger } from "../../../src/ports/telemetry.ts";

const modulePath = new URL("../../../src/adapters/pino-logger.ts", import.meta.url).href;

function logInto(options: Partial<LogOptions> = {}): {
  log: Logger;
  lines: Record<string, unknown>[];
} {
  const lines: Record<string, unknown>[] = [];
  const target = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { log: createLogger({ level: "info", ...options }, target), lines };
}

describe("createLogger", () => {
  it("writes level, time, fields and sentence as one JSON object", () => {
    const { log, lines } = logInto();
    log.info({ runId: "R1", tasks: 3 }, "run accepted");
    expect(lines).toEqual([
      {
        level: "info",
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        runId: "R1",
        tasks: 3,
        msg: "run accepted",
      },
    ]);
  });

  it("adds a child's fields to each of its lines", () => {
    const { log, lines } = logInto();
    log.child({ module: "engine", runId: "R1" }).warn({ task: "a" }, "late");
    expect(lines[0]).toMatchObject({ level: "warn", module: "engine", runId: "R1", task: "a" });
  });

  it("keeps lines below the level out, with other levels for single modules", () => {
    const { log, lines } = logInto({ level: "warn", modules: { bus: "debug", server: "error" } });
    log.info({}, "root info");
    log.child({ module: "bus" }).debug({}, "bus debug");
    log.child({ module: "bus" }).child({ runId: "R1" }).debug({}, "bus child debug");
    log.child({ module: "server" }).warn({}, "server warn");
    log.child({ module: "server" }).error({}, "server error");
    log.child({ module: "toString" }).info({}, "inherited names are no modules");
    expect(lines.map((line) => line.msg)).toEqual(["bus debug", "bus child debug", "server error"]);
  });

  it("writes errors with type, stack and the facts of a fault", () => {
    const { log, lines } = logInto();
    const error = new FaultError(fault("STORE_LOCKED", { directory: "/data" }));
    log.error({ error }, "cannot start");
    expect(lines[0]?.error).toMatchObject({
      type: "FaultError",
      message: "/data is in use by another process",
      fault: { code: "STORE_LOCKED", directory: "/data" },
      stack: expect.stringContaining("pino-logger.test.ts"),
    });
  });

  it("survives fields JSON has no words for", () => {
    const { log, lines } = logInto();
    const circle: { self?: unknown } = {};
    circle.self = circle;
    log.info({ circle, cursor: 12n, absent: undefined, call: () => 1 }, "odd");
    expect(lines[0]).toMatchObject({ cursor: 12, msg: "odd" });
  });
});

describe("openLog", () => {
  const program = (lines: number): string => `
    const { openLog } = await import(${JSON.stringify(modulePath)});
    const log = openLog({ level: "info", format: "auto" });
    const pad = "x".repeat(1_000);
    for (let at = 0; at < ${lines}; at++) log.info({ at, pad }, "line");
    console.log("done");`;
  const start = (lines: number) =>
    spawn(process.execPath, ["--input-type=module", "--eval", program(lines)]);

  it("writes every line to standard error before the process ends", async () => {
    const child = start(500);
    let text = "";
    child.stderr.on("data", (chunk) => {
      text += chunk;
    });
    await once(child, "close");
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => line.at)).toEqual(Array.from({ length: 500 }, (_, at) => at));
  });

  it("does not wait for a reader that stands still", async () => {
    const child = start(20_000);
    const [said] = await once(child.stdout, "data");
    expect(String(said)).toBe("done\n");
    child.kill("SIGKILL");
    await once(child, "exit");
  });
});

describe("prettyLine", () => {
  const line = (fields: object): string =>
    JSON.stringify({ level: "info", time: "2026-01-02T03:04:05.678Z", ...fields });

  it("prints time, level, module, sentence and fields", () => {
    const json = line({
      module: "server",
      address: "http://127.0.0.1:7450",
      n: 3,
      msg: "listening on",
    });
    expect(prettyLine(json, false)).toBe(
      "03:04:05.678 INFO  server listening on address=http://127.0.0.1:7450 n=3\n",
    );
    expect(prettyLine(json, true)).toContain("\u001b[32mINFO \u001b[0m");
  });

  it("quotes values with spaces and nests objects as JSON", () => {
    const json = line({ note: "a b", empty: "", labels: { team: "x" }, msg: "m" });
    expect(prettyLine(json, false)).toContain('m note="a b" empty="" labels={"team":"x"}\n');
  });

  it("prints the stack of an error below the line, or its message alone", () => {
    const stack = "Error: no\n    at f (a.ts:1:2)";
    expect(prettyLine(line({ msg: "m", error: { message: "no", stack } }), false)).toBe(
      "03:04:05.678 INFO  m\n    Error: no\n    at f (a.ts:1:2)\n",
    );
    expect(prettyLine(line({ msg: "m", error: "refused" }), false)).toContain("m error=refused\n");
  });

  it("lets no control character through to the terminal", () => {
    const evil = "\u001b]0;owned\u0007\u009b2J\r\nfake";
    for (const colours of [false, true]) {
      const printed = prettyLine(
        line({ msg: evil, module: evil, field: evil, [evil]: 1, error: { stack: evil } }),
        colours,
      );
      const uncoloured = printed.replaceAll(/\p{Cc}\[\d+m/gu, "");
      expect(uncoloured.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    }
    expect(prettyLine("no\u001bjson\n", false)).toBe("no\\x1bjson\n");
  });
});
