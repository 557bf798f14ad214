/** docs/api.md shows commands that work and knows every call. */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, it } from "vitest";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { GoClawEngine } from "../../gen/goclaw/v1/engine_pb.ts";
import { MemoryService } from "../../gen/goclaw/v1/memory_service_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { WorkerService } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { blocksOf, commandsOf, matches, runSession } from "../support/console-session.ts";

const ROOT = join(import.meta.dirname, "../..");
const page = readFileSync(join(ROOT, "docs/api.md"), "utf8");

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}

it("its session prints what is shown", async () => {
  const commands = commandsOf(
    blocksOf(page).find(({ language }) => language === "console")?.text ?? "",
  );
  expect(commands.length).toBeGreaterThan(3);
  const ran = runSession(ROOT, commands, await freePort());
  commands.forEach(({ command, output }, index) => {
    const { exitCode, output: printed } = ran[index] ?? { exitCode: -1, output: [] };
    expect(exitCode, `${command}\n${printed.join("\n")}`).toBe(0);
    if (!command.endsWith("&") && !matches(output, printed)) {
      expect(printed.join("\n"), command).toBe(output.join("\n"));
    }
  });
});

it("its table has every call, each once", () => {
  const listed = [...page.matchAll(/^\| `(\w+\.\w+)` \|/gm)].map(([, call]) => call);
  const calls = [GoClawEngine, RunService, AdminService, WorkerService, MemoryService].flatMap(
    (service) => service.methods.map(({ name }) => `${service.name}.${name}`),
  );
  expect(listed).toEqual(calls);
});
