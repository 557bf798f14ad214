/**
 * One daemon, every way to speak to it: gRPC, gRPC-Web and Connect through generated clients, Connect JSON through curl
 * on HTTP/1.1 and HTTP/2, and the pages for machines that speak none of them.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { GoClawEngine } from "../../gen/goclaw/v1/engine_pb.ts";
import { RunState, TaskEventType, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { startDaemon } from "../support/daemon.ts";
import { PROTOCOLS } from "../support/serve.ts";

const run = promisify(execFile);

const CHAIN = {
  name: "chain",
  tasks: [
    { id: "first", agent: "echo" },
    { id: "second", agent: "echo", deps: ["first"] },
  ],
};

it.each(PROTOCOLS)("a workflow runs to its end over %s", async (protocol) => {
  const daemon = await startDaemon();
  const types: TaskEventType[] = [];
  let sequence = 0n;
  let output: unknown;
  let runId = "";
  const spec = { ...CHAIN, input: { kind: { case: "stringValue" as const, value: "hi" } } };
  for await (const event of daemon.client(GoClawEngine, protocol).submitWorkflow(spec)) {
    expect(event.sequence).toBe(++sequence);
    types.push(event.type);
    runId = event.runId;
    if (event.type === TaskEventType.RUN_COMPLETED) {
      output = event.output && toJson(ValueSchema, event.output);
    }
  }
  expect(types[0]).toBe(TaskEventType.RUN_ACCEPTED);
  expect(types.at(-1)).toBe(TaskEventType.RUN_COMPLETED);
  expect(types.filter((type) => type === TaskEventType.TASK_COMPLETED)).toHaveLength(2);
  expect(output).toEqual({ second: { first: "hi" } });
  const status = await daemon
    .client(GoClawEngine, protocol)
    .getTaskStatus({ runId, taskId: "second" });
  expect(status).toMatchObject({ state: TaskState.COMPLETED, agent: "echo", attempt: 1 });
  const { run: info } = await daemon.client(RunService, protocol).getRun({ runId });
  expect(info).toMatchObject({ state: RunState.COMPLETED, sequence, workflow: "chain" });
});

it("many runs go through one bulk stream, answers in batches", async () => {
  const daemon = await startDaemon();
  const count = 500;
  const requests = async function* () {
    for (let from = 0; from < count; from += 50) {
      yield {
        rawOutputs: true,
        runs: Array.from({ length: 50 }, (_, at) => ({
          number: BigInt(from + at),
          run: {
            source: {
              case: "spec" as const,
              value: { name: "one", tasks: [{ id: "a", agent: "echo" }] },
            },
            inputData: {
              mediaType: "application/json",
              data: new TextEncoder().encode(String(from + at)),
            },
          },
        })),
      };
    }
  };
  const runIds = new Map<bigint, string>();
  const outputs = new Map<bigint, string>();
  let messages = 0;
  for await (const batch of daemon.client(RunService).submitRuns(requests())) {
    messages++;
    expect(batch.refused).toEqual([]);
    for (const { number, runId } of batch.accepted) runIds.set(number, runId);
    for (const { number, runId, state, outputData } of batch.ended) {
      expect(runIds.get(number)).toBe(runId);
      expect(state).toBe(RunState.COMPLETED);
      outputs.set(number, new TextDecoder().decode(outputData?.data));
    }
  }
  expect(new Set(runIds.values()).size).toBe(count);
  expect(outputs.size).toBe(count);
  for (const [number, output] of outputs) expect(output).toBe(`{"a":${number}}`);
  expect(messages).toBeLessThan(count);
});

describe("curl", () => {
  const curl = async (...words: string[]) =>
    (await run("curl", ["--silent", "--show-error", "--max-time", "20", ...words])).stdout;
  const body = JSON.stringify({ run: { spec: CHAIN, input: { any: ["json", 1, null] } } });
  const json = ["--header", "content-type: application/json", "--data-raw"];

  it.each([
    ["HTTP/1.1", "--http1.1"],
    ["HTTP/2", "--http2-prior-knowledge"],
  ])("submits, watches and reads as JSON over %s", async (_, version) => {
    const { address } = await startDaemon();
    const started = JSON.parse(
      await curl(version, ...json, body, `${address}/goclaw.v1.RunService/StartRun`),
    ) as { runId: string };
    expect(started).toMatchObject({ runId: expect.stringMatching(/^[0-9A-Z]{26}$/) });
    const collect = JSON.stringify({ runId: started.runId, taskIds: ["second"] });
    const collected = await curl(
      version,
      ...json,
      collect,
      `${address}/goclaw.v1.RunService/CollectResults`,
    );
    expect(JSON.parse(collected)).toMatchObject({
      complete: true,
      results: [{ taskId: "second", output: { first: { any: ["json", 1, null] } } }],
    });
    const refused = await curl(
      version,
      "--write-out",
      "\n%{http_code}",
      ...json,
      JSON.stringify({ runId: "0".repeat(26) }),
      `${address}/goclaw.v1.RunService/GetRun`,
    );
    const [error = "", status] = refused.split("\n");
    expect(status).toBe("404");
    expect(JSON.parse(error)).toMatchObject({
      code: "not_found",
      details: [
        { type: "google.rpc.ErrorInfo", debug: { reason: "RUN_NOT_FOUND", domain: "goclaw" } },
      ],
    });
  });

  it("reads the plain pages", async () => {
    const { address } = await startDaemon();
    expect(await curl(`${address}/healthz`)).toBe("ok\n");
    expect(JSON.parse(await curl(`${address}/readyz`))).toEqual({ ready: true, reason: "" });
    const metrics = await curl(`${address}/metrics`);
    expect(metrics).toContain("# TYPE goclaw_tasks_total counter");
    expect(metrics).toContain("goclaw_slots_diverged 0");
  });
});

it("a definition is registered once and run by name", async () => {
  const daemon = await startDaemon();
  const admin = daemon.client(AdminService);
  const { definition } = await admin.registerDefinition({ spec: { ...CHAIN, version: "1.0" } });
  expect(definition).toMatchObject({ name: "chain", version: "1.0", namespace: "default" });
  const { definitions } = await admin.listDefinitions({});
  expect(definitions.map(({ hash }) => hash)).toEqual([definition?.hash]);
  const runs = daemon.client(RunService);
  for (const name of ["chain", "chain@1.0"]) {
    const { runId } = await runs.startRun({ run: { source: { case: "definition", value: name } } });
    const { run: info } = await runs.getRun({ runId, summaryOnly: true });
    expect(info?.definitionHash).toBe(definition?.hash);
  }
  const missing = runs.startRun({ run: { source: { case: "definition", value: "chian" } } });
  await expect(missing).rejects.toThrow('did you mean "chain"?');
});
