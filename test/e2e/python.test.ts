/**
 * The daemon from another language: Debian's Python gRPC client with stubs that protoc makes from our protos, submitting,
 * watching, steering and cancelling, and reading errors, health and reflection. scripts/test-prerequisites.sh installs
 * what this needs.
 */
import { execFile } from "node:child_process";
import { globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startDaemon } from "../support/daemon.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");
const THIRD_PARTY = join(ROOT, "third_party/proto");
/** The system's: a Python of its own first on PATH may lack grpc. */
const PYTHON = "/usr/bin/python3";

/** Protos that ours do not import; compiled by bare name, because Python's own `grpc` package owns that folder. */
const BARE = [
  "third_party/proto/grpc/health/v1/health.proto",
  "third_party/proto/grpc/reflection/v1/reflection.proto",
  "third_party/proto/google/rpc/error_details.proto",
  "test/e2e/python/status.proto",
];

const stubs = mkdtempSync(join(tmpdir(), "goclaw-python-"));
afterAll(() => rmSync(stubs, { recursive: true, force: true }));

beforeAll(async () => {
  const ours = globSync("goclaw/v1/*.proto", { cwd: join(ROOT, "proto") });
  await protoc([join(ROOT, "proto"), THIRD_PARTY], [...ours, "buf/validate/validate.proto"]);
  for (const path of BARE) await protoc([join(ROOT, dirname(path))], [basename(path)]);
});

async function protoc(roots: readonly string[], files: readonly string[]): Promise<void> {
  await run("protoc", [
    ...roots.map((root) => `--proto_path=${root}`),
    `--python_out=${stubs}`,
    `--plugin=protoc-gen-grpc_python=${await pathOf("grpc_python_plugin")}`,
    `--grpc_python_out=${stubs}`,
    ...files,
  ]);
}

async function pathOf(program: string): Promise<string> {
  return (await run("sh", ["-c", `command -v ${program}`])).stdout.trim();
}

/** Runs a scenario of client.py against a fresh daemon; returns the facts it printed. */
async function scenario(name: string): Promise<Record<string, unknown>[]> {
  const { authority } = await startDaemon();
  const client = join(import.meta.dirname, "python/client.py");
  const { stdout } = await run(PYTHON, [client, authority, name], {
    env: { PYTHONPATH: stubs, PYTHONDONTWRITEBYTECODE: "1" },
    timeout: 60_000,
  });
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

it("Python submits, watches and steers", async () => {
  const facts = await scenario("steer");
  const events = facts.filter(({ event }) => event !== undefined);
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, at) => at + 1));
  expect(new Set(events.map(({ run_id }) => run_id)).size).toBe(1);
  expect(events.map(({ event }) => event)).toEqual(
    expect.arrayContaining(["RUN_ACCEPTED", "TASK_STARTED", "SIGNAL_ACCEPTED", "SIGNAL_RECEIPT"]),
  );
  expect(events.at(-1)?.event).toBe("RUN_COMPLETED");
  expect(facts.slice(-2)).toEqual([
    { output: { ear: { text: "from python", payload: { speed: 2 } } } },
    { state: "TASK_STATE_COMPLETED", attempt: 1 },
  ]);
});

it("Python cancels, and resumes a watch where it left it", async () => {
  const [watched, listed] = await scenario("cancel");
  const { last, rest, end } = watched as { last: number; rest: number[]; end: string };
  expect(rest.length).toBeGreaterThan(0);
  expect(rest).toEqual(rest.map((_, at) => last + 1 + at));
  expect(end).toBe("RUN_CANCELLED");
  expect(listed).toEqual({ listed: ["RUN_STATE_CANCELLED"] });
});

it("Python submits in bulk", async () => {
  expect(await scenario("bulk")).toEqual([{ ended: 100, right: true, refused: [] }]);
});

it("Python reads the details of errors", async () => {
  const [unknown, broken, rules, large] = await scenario("errors");
  expect(unknown).toMatchObject({
    code: "NOT_FOUND",
    details: { ErrorInfo: { reason: "RUN_NOT_FOUND", domain: "goclaw" } },
  });
  expect(broken).toMatchObject({
    code: "INVALID_ARGUMENT",
    details: { ErrorInfo: { reason: "DEFINITION_INVALID" } },
  });
  const violations = JSON.stringify(broken?.details);
  expect(violations).toContain("a → b → a");
  expect(violations).toContain("tasks[1].timeout");
  expect(rules).toMatchObject({
    code: "INVALID_ARGUMENT",
    details: {
      ErrorInfo: { reason: "REQUEST_INVALID" },
      BadRequest: { fieldViolations: [{ field: "run_id" }] },
    },
  });
  expect(large).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
});

it("Python checks and watches health", async () => {
  expect(await scenario("health")).toEqual([
    { service: "", status: "SERVING" },
    { service: "goclaw.v1.GoClawEngine", status: "SERVING" },
    { service: "no.Such", code: "NOT_FOUND" },
    { watched: "SERVING" },
  ]);
});

it("Python needs no stubs but reflection", async () => {
  const [listed, found] = await scenario("reflection");
  expect(listed?.services).toEqual(
    expect.arrayContaining([
      "goclaw.v1.AdminService",
      "goclaw.v1.GoClawEngine",
      "goclaw.v1.RunService",
    ]),
  );
  expect(found).toEqual({ input: "goclaw.v1.WorkflowSpec", output: "goclaw.v1.TaskEvent" });
});
