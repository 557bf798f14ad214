/**
 * The smaller services over a real connection: operating the daemon, plans, lists, health and reflection.
 */
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { AdminService, LaneKind, LaneSchema } from "../../../gen/goclaw/v1/admin_service_pb.ts";
import { RunState } from "../../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../../gen/goclaw/v1/run_service_pb.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { compile } from "../../../src/core/dag/compile.ts";
import type { LaneStatus } from "../../../src/core/lane/lane.ts";
import type { LaneChange, RunQuery } from "../../../src/engine/api.ts";
import { definitionOf, RUN_ID, RunHarness } from "../../support/run-harness.ts";
import { serve } from "../../support/serve.ts";

const LANE: LaneStatus = {
  name: "io",
  kind: "named",
  concurrency: 4,
  capacity: 10,
  overflow: { kind: "redirect", to: "cpu" },
  rate: { limit: 100, perMs: 1_000, burst: 20 },
  paused: false,
  occupied: 2,
  queued: 3,
  blocked: 1,
  oldestSince: 1_000,
  opensAt: undefined,
};

const DIAMOND = {
  name: "diamond",
  tasks: [
    { id: "a", agent: "x", timeout: "1s" },
    { id: "b", agent: "x", deps: ["a"], lane: "cpu", cost: 2, timeout: "9s" },
    { id: "c", agent: "x", deps: ["a"], lane: "cpu", timeout: "1s" },
    { id: "d", agent: "x", deps: ["b", "c"], timeout: "1s" },
  ],
};

describe("operating", () => {
  it("lists lanes in the words of the configuration", async () => {
    const { client } = await serve({
      lanes: () => [LANE, { ...LANE, name: "cpu", overflow: { kind: "drop", which: "oldest" } }],
    });
    const { lanes } = await client(AdminService).listLanes({});
    expect(toJson(LaneSchema, lanes[0] as never)).toEqual({
      name: "io",
      kind: "LANE_KIND_NAMED",
      concurrency: 4,
      capacity: 10,
      overflow: "redirect cpu",
      rate: "100 per 1s, burst 20",
      occupied: 2,
      queued: 3,
      blocked: 1,
      oldestSince: "1970-01-01T00:00:01Z",
    });
    expect(lanes[1]?.overflow).toBe("drop oldest");
    expect(lanes[1]?.kind).toBe(LaneKind.NAMED);
  });

  it("changes only what a request names", async () => {
    const changes: [string, LaneChange][] = [];
    const { client } = await serve({
      changeLane: (name, change) => {
        changes.push([name, change]);
        return { ...LANE, ...change };
      },
    });
    const admin = client(AdminService);
    expect((await admin.changeLane({ name: "io", paused: true })).lane?.paused).toBe(true);
    await admin.changeLane({ name: "io", concurrency: 7, paused: false });
    expect(changes).toEqual([
      ["io", { paused: true }],
      ["io", { concurrency: 7, paused: false }],
    ]);
    await expect(admin.changeLane({ name: "io", concurrency: 0 })).rejects.toThrow("concurrency");
  });

  it("lists agents with what was observed of them", async () => {
    const { client } = await serve({
      agents: () => [
        {
          name: "fetch",
          version: "2",
          transport: "plugin",
          source: "fetch.mjs",
          inputSchema: { type: "object" },
          timeoutMs: 1_500,
        },
        { name: "new", version: "", transport: "builtin", source: "" },
      ],
      expectedMs: (agent) => (agent === "fetch" ? 12.5 : undefined),
    });
    const { agents } = await client(AdminService).listAgents({});
    expect(agents).toMatchObject([
      { name: "fetch", transport: "plugin", timeout: "1s500ms", expectedMs: 12.5, cost: 1 },
      { name: "new", timeout: "" },
    ]);
    expect(agents[0]?.inputSchema?.kind.case).toBe("structValue");
    expect(agents[1]?.expectedMs).toBeUndefined();
  });

  it("gives a definition back as a spec that means the same", async () => {
    const definition = definitionOf({
      name: "full",
      version: "1.0",
      fail_fast: false,
      output: { result: "{{ join }}" },
      memory: { retrieve_last_n: 3, forget_threshold: 0.5 },
      tasks: [
        {
          id: "a",
          agent: "x",
          lane: "io",
          input: { list: [1, null, "{{ input.y }}"] },
          timeout: "1m30s",
          deadline: "2h",
          heartbeat_timeout: "250ms",
          retry: { max_attempts: 2, backoff: "1s", max_backoff: "1m", jitter: 0 },
          priority: -5,
          cost: 3,
          on_error: "continue",
          labels: { team: "t" },
          compensate: { agent: "undo", input: { id: 1 } },
          memory: {
            retrieve: { vector_query: "{{ input.q }}", top_k: 7, filter: { k: "v" } },
            memorize: { content: "{{ input.q }}", kind: "fact" },
          },
        },
        { id: "b", agent: "x", deps: ["a"], when: "a != null", on_error: { fallback: "plan_b" } },
        { id: "plan_b", agent: "x" },
        { id: "each", agent: "x", for_each: "input.items" },
        { id: "join", agent: "x", deps: ["b", "each"] },
      ],
    });
    const registered: unknown[] = [];
    const { client } = await serve({
      definition: async () => definition,
      definitions: async () => [],
      registerDefinition: async (namespace, received) => {
        registered.push(received);
        return {
          namespace,
          name: "full",
          version: "1.0",
          hash: "h",
          json: "",
          registeredAt: 5_000,
        };
      },
    });
    const admin = client(AdminService);
    const { spec } = await admin.getDefinition({ name: "full" });
    if (spec === undefined) throw new Error("no spec");
    const answer = await admin.registerDefinition({ spec, namespace: "n" });
    expect(registered).toEqual([definition]);
    expect(answer.definition).toMatchObject({ namespace: "n", name: "full", hash: "h" });
  });

  it("tells what it is", async () => {
    const { client } = await serve({
      readiness: () => ({ ready: false, reason: "recovering" }),
      openRuns: () => 7,
    });
    expect(await client(AdminService).getInfo({})).toMatchObject({
      version: "1.2.3",
      store: "memory",
      started: { seconds: 1n },
      ready: false,
      reason: "recovering",
      openRuns: 7n,
    });
  });
});

describe("runs", () => {
  it("plans without running", async () => {
    const { client } = await serve({
      plan: (definition) => compile(definition, { hash: "abc" }),
    });
    const plan = await client(RunService).planWorkflow({
      source: { case: "spec", value: DIAMOND },
    });
    expect(plan).toMatchObject({
      workflow: "diamond",
      definitionHash: "abc",
      layers: [{ taskIds: ["a"] }, { taskIds: ["b", "c"] }, { taskIds: ["d"] }],
      hotPath: ["a", "b", "d"],
      hotPathMs: 11_000,
      laneDemand: { default: 1, cpu: 3 },
      tasks: 4,
      edges: 4,
    });
  });

  it("lists with every filter, and only with those given", async () => {
    const queries: RunQuery[] = [];
    const { client } = await serve({
      listRuns: async (query) => {
        queries.push(query);
        return {
          nextPageToken: "next",
          runs: [
            {
              runId: RUN_ID,
              namespace: "default",
              name: "w",
              status: "RUNNING",
              sessionId: undefined,
              labels: { a: "b" },
              acceptedAt: 1_000,
              endedAt: 0,
            },
          ],
        };
      },
    });
    const runs = client(RunService);
    const page = await runs.listRuns({});
    expect(page).toMatchObject({
      nextPageToken: "next",
      runs: [{ runId: RUN_ID, workflow: "w", state: RunState.RUNNING, labels: { a: "b" } }],
    });
    expect(page.runs[0]?.ended).toBeUndefined();
    await runs.listRuns({
      namespace: "n",
      states: [RunState.FAILED, RunState.CANCELLED],
      workflow: "w",
      sessionId: "s",
      labels: { k: "v" },
      acceptedAfter: { seconds: 1n, nanos: 500_000_000 },
      acceptedBefore: { seconds: 2n },
      pageSize: 10,
      pageToken: "t",
    });
    expect(queries).toEqual([
      { pageSize: 50 },
      {
        namespace: "n",
        statuses: ["FAILED", "CANCELLED"],
        name: "w",
        sessionId: "s",
        labels: { k: "v" },
        acceptedAfter: 1_500,
        acceptedBefore: 2_000,
        pageSize: 10,
        pageToken: "t",
      },
    ]);
    await expect(runs.listRuns({ states: [0] })).rejects.toThrow("states");
    await expect(runs.listRuns({ pageSize: 1001 })).rejects.toThrow("page_size");
  });

  it("cancels, collects and answers signals", async () => {
    const harness = new RunHarness({ name: "w", tasks: [{ id: "a", agent: "x" }] });
    harness.complete("a", 42);
    const asked: unknown[] = [];
    const { client } = await serve({
      cancelRun: async (...request) => {
        asked.push(request);
      },
      collect: async (request) => {
        asked.push(request);
        return { finished: [harness.task("a")], missing: ["b"], complete: false };
      },
      signal: async () => [
        { signalId: "s", runId: RUN_ID, taskId: "a", receipt: "queued" as const },
      ],
    });
    const runs = client(RunService);
    await runs.cancelRun({ runId: RUN_ID, reason: "enough" });
    await runs.cancelRun({ runId: RUN_ID, grace: "1s" });
    const collected = await runs.collectResults({
      runId: RUN_ID,
      taskIds: ["a", "b"],
      deadline: "1h",
    });
    expect(collected).toMatchObject({
      missing: ["b"],
      complete: false,
      results: [{ taskId: "a" }],
    });
    expect(collected.results[0]?.output?.kind).toEqual({ case: "numberValue", value: 42 });
    expect(asked).toEqual([
      [RUN_ID, { reason: "enough" }],
      [RUN_ID, { reason: "", graceMs: 1_000 }],
      // A unary call does not wait for an hour.
      { runId: RUN_ID, tasks: ["a", "b"], mode: { kind: "all" }, deadlineMs: 300_000 },
    ]);
    const { answers } = await runs.sendSignal({
      signal: { runId: RUN_ID, taskId: "a", signal: { case: "steer", value: {} } },
    });
    expect(answers).toMatchObject([{ signalId: "s", runId: RUN_ID, taskId: "a", receipt: 2 }]);
  });
});

describe("health", () => {
  it("follows the engine's readiness, for each service and the whole", async () => {
    let ready = true;
    const { client } = await serve({ readiness: () => ({ ready, reason: "" }) });
    const health = client(Health);
    expect((await health.check({})).status).toBe(Status.SERVING);
    const { statuses } = await health.list({});
    expect(Object.keys(statuses).sort()).toEqual([
      "",
      "goclaw.v1.AdminService",
      "goclaw.v1.GoClawEngine",
      "goclaw.v1.MemoryService",
      "goclaw.v1.RunService",
      "goclaw.v1.WorkerService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
    ]);
    ready = false;
    expect((await health.check({ service: "goclaw.v1.RunService" })).status).toBe(
      Status.NOT_SERVING,
    );
    await expect(health.check({ service: "no.Such" })).rejects.toMatchObject({
      code: Code.NotFound,
    });
  });

  it("tells watchers of each change once", async () => {
    let ready = false;
    const { client, server } = await serve({ readiness: () => ({ ready, reason: "" }) });
    const changes = client(Health).watch({})[Symbol.asyncIterator]();
    expect((await changes.next()).value?.status).toBe(Status.NOT_SERVING);
    ready = true;
    expect((await changes.next()).value?.status).toBe(Status.SERVING);
    server.drain();
    expect((await changes.next()).value?.status).toBe(Status.NOT_SERVING);
    const unknown = client(Health).watch({ service: "no.Such" })[Symbol.asyncIterator]();
    expect((await unknown.next()).value?.status).toBe(Status.SERVICE_UNKNOWN);
    await server.stop();
    await expect(changes.next()).rejects.toThrow(ConnectError);
  });
});

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha],
] as const)("reflection %s", (_, service) => {
  const ask = async (question: { case: string; value: unknown }) => {
    const { client } = await serve();
    const questions = async function* () {
      yield { host: "h", messageRequest: question as never };
    };
    for await (const answer of client(service as typeof ServerReflection).serverReflectionInfo(
      questions(),
    )) {
      expect(answer.originalRequest?.host).toBe("h");
      return answer.messageResponse;
    }
    throw new Error("no answer");
  };

  const filesOf = async (question: { case: string; value: unknown }) => {
    const answer = await ask(question);
    if (answer.case !== "fileDescriptorResponse") throw new Error(`got ${answer.case}`);
    return answer.value.fileDescriptorProto.map(
      (bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name,
    );
  };

  it("lists the services", async () => {
    const answer = await ask({ case: "listServices", value: "" });
    if (answer.case !== "listServicesResponse") throw new Error(`got ${answer.case}`);
    expect(answer.value.service.map(({ name }) => name)).toContain("goclaw.v1.GoClawEngine");
  });

  it.each([
    ["fileByFilename", "goclaw/v1/run.proto", "goclaw/v1/run.proto"],
    ["fileContainingSymbol", "goclaw.v1.RunService", "goclaw/v1/run_service.proto"],
    ["fileContainingSymbol", "goclaw.v1.RunService.StartRun", "goclaw/v1/run_service.proto"],
    ["fileContainingSymbol", "goclaw.v1.TaskState", "goclaw/v1/run.proto"],
    [
      "fileContainingSymbol",
      "grpc.health.v1.HealthCheckResponse.ServingStatus",
      "grpc/health/v1/health.proto",
    ],
  ])("finds a file with its imports: %s %s", async (question, value, file) => {
    const names = await filesOf({ case: question, value });
    expect(names[0]).toBe(file);
    if (file.startsWith("goclaw")) expect(names).toContain("buf/validate/validate.proto");
  });

  it("finds extensions", async () => {
    const number = 1159;
    const names = await filesOf({
      case: "fileContainingExtension",
      value: { containingType: "google.protobuf.FieldOptions", extensionNumber: number },
    });
    expect(names[0]).toBe("buf/validate/validate.proto");
    expect(
      await ask({ case: "allExtensionNumbersOfType", value: "google.protobuf.FieldOptions" }),
    ).toMatchObject({
      value: { baseTypeName: "google.protobuf.FieldOptions", extensionNumber: [number, 1160] },
    });
  });

  it.each([
    ["fileByFilename", "no.proto"],
    ["fileContainingSymbol", "no.Such"],
    ["fileContainingExtension", { containingType: "no.Such", extensionNumber: 1 }],
    ["allExtensionNumbersOfType", "no.Such"],
  ])("says when there is none: %s", async (question, value) => {
    expect(await ask({ case: question, value })).toMatchObject({
      case: "errorResponse",
      value: { errorCode: Code.NotFound },
    });
  });

  it("answers an empty question with an error", async () => {
    expect(await ask({ case: undefined as never, value: undefined })).toMatchObject({
      case: "errorResponse",
      value: { errorCode: Code.InvalidArgument },
    });
  });
});
