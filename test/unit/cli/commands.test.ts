import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { AdminService, LaneKind, WorkerState } from "../../../gen/goclaw/v1/admin_service_pb.ts";
import { CollectMode, GoClawEngine } from "../../../gen/goclaw/v1/engine_pb.ts";
import {
  Reason,
  RunState,
  SignalReceipt,
  TaskEventSchema,
  TaskEventType,
  TaskState,
} from "../../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../../gen/goclaw/v1/run_service_pb.ts";
import type { PlanView } from "../../../src/cli/definition-view.ts";
import { STARTER_FILES } from "../../../src/cli/starter.ts";
import type { FakeCliOptions } from "../../support/fake-cli.ts";
import { FakeCli, ProcessExit } from "../../support/fake-cli.ts";

const RUN = "01KDW3YZ00000000000000RUN1";

type Runs = Partial<ServiceImpl<typeof RunService>>;
type Admin = Partial<ServiceImpl<typeof AdminService>>;
type Engine = Partial<ServiceImpl<typeof GoClawEngine>>;

function cliWith(
  services: { readonly runs?: Runs; readonly admin?: Admin; readonly engine?: Engine },
  options: FakeCliOptions = {},
): FakeCli {
  return new FakeCli({
    ...options,
    routes: (router) => {
      router.service(RunService, services.runs ?? {});
      router.service(AdminService, services.admin ?? {});
      router.service(GoClawEngine, services.engine ?? {});
    },
  });
}

const PLAN: PlanView = {
  workflow: "support",
  version: "",
  hash: "0123456789abcdef",
  tasks: [{ id: "intake", agent: "Intake", lane: "io", deps: [] }],
  layers: [["intake"]],
  hotPath: ["intake"],
  hotPathMs: 1,
  laneDemand: { io: 1 },
};

/** Accepts files that parse as JSON; one that says `bad` has two problems. */
const DEFINITIONS: NonNullable<FakeCliOptions["definitions"]> = {
  read: (_name, text) =>
    text === "bad"
      ? {
          violations: [
            { field: "name", message: "is missing", remedy: "Add it.", line: 1, column: 1 },
            { field: "tasks", message: "is missing", remedy: "Add it.", line: 2, column: 3 },
          ],
        }
      : { spec: JSON.parse(text), plan: PLAN },
  format: (name, violations) =>
    violations.map((v) => `${name}:${v.line}:${v.column} ${v.field} ${v.message}`).join("\n"),
};

const FILES = {
  "flow.yaml": '{"name":"support","tasks":[{"id":"intake","agent":"Intake"}]}',
  "bad.yaml": "bad",
  "in.json": '{"from":"file"}',
};

const ENDED = create(TaskEventSchema, {
  runId: RUN,
  sequence: 9n,
  type: TaskEventType.RUN_COMPLETED,
  runState: RunState.COMPLETED,
  output: { kind: { case: "stringValue", value: "done" } },
});
const FAILED = create(TaskEventSchema, {
  runId: RUN,
  sequence: 9n,
  type: TaskEventType.RUN_FAILED,
  taskId: "intake",
  runState: RunState.FAILED,
  reason: Reason.AGENT_ERROR,
  message: "no mail",
});

/** A daemon on which every run ends at once with `end`. */
function endingWith(end: typeof ENDED, requests: unknown[] = []): Runs {
  return {
    startRun: (request) => {
      requests.push(request.run);
      return { runId: RUN, sequence: 1n };
    },
    getRun: () => ({
      run: { runId: RUN, workflow: "support", state: RunState.RUNNING, sequence: 8n },
    }),
    watchRun: async function* () {
      yield { event: end };
    },
  };
}

describe("usage", () => {
  test("help names every command and goes to standard output", async () => {
    const cli = new FakeCli();
    expect(await cli.run("--help")).toBe(0);
    for (const name of ["run", "serve", "submit", "watch", "get", "list", "cancel", "signal"]) {
      expect(cli.stdout).toMatch(new RegExp(`^  ${name} `, "m"));
    }
    expect(cli.stderr).toBe("");
    expect(await new FakeCli().run()).toBe(0);
  });

  test.each([
    [["serv"], "unknown command 'serv'"],
    [["run"], "missing required argument 'file'"],
    [["run", "a", "b"], "too many arguments"],
    [["list", "--limti", "3"], "unknown option '--limti'"],
    [["plan", "flow.yaml", "--format", "dot"], "Allowed choices are text, json, mermaid"],
  ])("%j exits with 2", async (words, problem) => {
    const cli = cliWith({}, { files: FILES, definitions: DEFINITIONS });
    expect(await cli.run(...words)).toBe(2);
    expect(cli.stderr).toContain(problem);
    expect(cli.stderr).toMatch(/^goclaw: /);
    expect(cli.stdout).toBe("");
  });

  test("version", async () => {
    const cli = new FakeCli();
    expect(await cli.run("version")).toBe(0);
    expect(await cli.run("--version")).toBe(0);
    expect(cli.stdout).toBe("goclaw 1.2.3 (Node.js v24.0.0)\n1.2.3\n");
  });
});

describe("errors", () => {
  const refusing = (error: ConnectError): FakeCli =>
    cliWith({
      runs: {
        getRun: () => {
          throw error;
        },
      },
    });

  test("no daemon: one line, exit code 3", async () => {
    const cli = refusing(new ConnectError("connect ECONNREFUSED", Code.Unavailable));
    expect(await cli.run("get", RUN, "--server", "localhost:1")).toBe(3);
    expect(cli.stderr).toBe(
      "goclaw: no daemon answers at http://localhost:1. Start one with `goclaw serve`, or name another with --server.\n",
    );
    expect(cli.servers).toEqual(["http://localhost:1"]);
  });

  test("the daemon's reason, message and remedy in one line", async () => {
    const { ErrorInfoSchema } = await import("../../../gen/google/rpc/error_details_pb.ts");
    const error = new ConnectError("run X does not exist\u001b[2J", Code.NotFound, undefined, [
      {
        desc: ErrorInfoSchema,
        value: { reason: "RUN_NOT_FOUND", domain: "goclaw", metadata: { remedy: "Check the id." } },
      },
    ]);
    const cli = refusing(error);
    expect(await cli.run("get", RUN)).toBe(1);
    expect(cli.stderr).toBe("goclaw: RUN_NOT_FOUND: run X does not exist[2J. Check the id.\n");
    expect(cli.servers).toEqual(["http://127.0.0.1:7420"]);
  });

  test("violations come one per line, exit code 2", async () => {
    const { BadRequestSchema, ErrorInfoSchema } = await import(
      "../../../gen/google/rpc/error_details_pb.ts"
    );
    const error = new ConnectError("definition has 2 problems", Code.InvalidArgument, undefined, [
      {
        desc: ErrorInfoSchema,
        value: { reason: "DEFINITION_INVALID", metadata: { remedy: "Correct them." } },
      },
      {
        desc: BadRequestSchema,
        value: {
          fieldViolations: [
            { field: "tasks[0].agent", description: "unknown" },
            { field: "tasks[1].lane", description: "unknown" },
          ],
        },
      },
    ]);
    const cli = refusing(error);
    expect(await cli.run("get", RUN)).toBe(2);
    expect(cli.stderr).toBe(
      "tasks[0].agent: unknown\ntasks[1].lane: unknown\ngoclaw: DEFINITION_INVALID: Correct them.\n",
    );
  });

  test("a server address that is none", async () => {
    for (const server of ["ftp://x", "http://", "http://a b"]) {
      const cli = new FakeCli();
      expect(await cli.run("list", "--server", server)).toBe(2);
      expect(cli.stderr).toContain("is not a server address");
    }
  });

  test("GOCLAW_SERVER names the daemon, --server wins", async () => {
    const cli = cliWith(
      { runs: { listRuns: () => ({}) } },
      { environment: { GOCLAW_SERVER: "http://a:1/" } },
    );
    await cli.run("list");
    await cli.run("list", "--server", "https://b");
    expect(cli.servers).toEqual(["http://a:1", "https://b"]);
  });
});

describe("run", () => {
  test("starts an engine here, prints events as JSON lines, stops it", async () => {
    const requests: unknown[] = [];
    const cli = cliWith(
      { runs: endingWith(ENDED, requests) },
      { files: { ...FILES, "dir/flow.yaml": FILES["flow.yaml"] }, definitions: DEFINITIONS },
    );
    expect(
      await cli.run(
        "run",
        "dir/flow.yaml",
        "--input",
        '{"a":1}',
        "--agents",
        "x",
        "--agents",
        "y",
        "--label",
        "k=v=w",
      ),
    ).toBe(0);
    expect(cli.started).toEqual([
      { kind: "embed", options: expect.objectContaining({ agents: ["x", "y"] }), baseDir: "dir" },
    ]);
    expect(cli.servers).toEqual(["http://embedded"]);
    expect(cli.stops).toBe(1);
    expect(cli.listening).toBe(0);
    expect(JSON.parse(cli.stdout)).toMatchObject({
      type: "TASK_EVENT_TYPE_RUN_COMPLETED",
      output: "done",
    });
    expect(requests).toMatchObject([
      {
        source: { case: "spec", value: { name: "support", tasks: [{ id: "intake" }] } },
        labels: { k: "v=w" },
        input: { kind: { case: "structValue" } },
      },
    ]);
  });

  test("on a daemon nothing is started here", async () => {
    const cli = cliWith({ runs: endingWith(ENDED) }, { files: FILES, definitions: DEFINITIONS });
    expect(await cli.run("run", "flow.yaml", "--server", "http://d")).toBe(0);
    expect(cli.started).toEqual([]);
    expect(cli.servers).toEqual(["http://d"]);
  });

  test("what belongs to a daemon is refused next to --server", async () => {
    const cli = cliWith({}, { files: FILES, definitions: DEFINITIONS });
    expect(
      await cli.run("run", "flow.yaml", "--server", "http://d", "--agents", "x", "--data", "y"),
    ).toBe(2);
    expect(cli.stderr).toBe(
      "goclaw: --agents, --data cannot be combined with --server; they belong to the daemon\n",
    );
  });

  test("a failed run exits with 1 and --plain says why", async () => {
    const cli = cliWith({ runs: endingWith(FAILED) }, { files: FILES, definitions: DEFINITIONS });
    expect(await cli.run("run", "flow.yaml", "--plain")).toBe(1);
    expect(cli.stdout.split("\n").slice(-2)).toEqual([
      "failed at task intake: agent_error: no mail",
      "",
    ]);
  });

  test("a terminal gets a drawing, then the output", async () => {
    const cli = cliWith(
      { runs: endingWith(ENDED) },
      { files: FILES, definitions: DEFINITIONS, interactive: true },
    );
    expect(await cli.run("run", "flow.yaml")).toBe(0);
    expect(cli.stdout).toContain("\u001b[?25l");
    expect(cli.stdout).toMatch(/support {2}01KDW3YZ00000000000000RUN1 {2}completed/);
    expect(cli.stdout.endsWith('\u001b[?25h"done"\n')).toBe(true);
    expect(cli.clock.timers).toBe(0);
  });

  test("an invalid file shows every problem and starts nothing", async () => {
    const cli = cliWith({}, { files: FILES, definitions: DEFINITIONS });
    expect(await cli.run("run", "bad.yaml")).toBe(2);
    expect(cli.stderr).toBe("bad.yaml:1:1 name is missing\nbad.yaml:2:3 tasks is missing\n");
    expect(cli.started).toEqual([]);
  });

  test.each([
    ["@in.json", "", { from: "file" }],
    ["-", "[1]", [1]],
    ['"text"', "", "text"],
  ])("input %s", async (input, stdin, value) => {
    const requests: { input?: unknown }[] = [];
    const cli = cliWith(
      { runs: endingWith(ENDED, requests) },
      { files: FILES, definitions: DEFINITIONS, input: stdin },
    );
    expect(await cli.run("run", "flow.yaml", "--input", input)).toBe(0);
    const { toJson } = await import("@bufbuild/protobuf");
    const { ValueSchema } = await import("@bufbuild/protobuf/wkt");
    expect(toJson(ValueSchema, requests[0]?.input as never)).toEqual(value);
  });

  test.each([
    [["--input", "{a"], "--input is not JSON"],
    [["--input", "@none.json"], "none.json cannot be read"],
    [["--label", "x"], '"x" is not a label'],
    [["--priority", "101"], '"101" is not a priority'],
  ])("%j is refused", async (words, problem) => {
    const cli = cliWith({}, { files: FILES, definitions: DEFINITIONS });
    expect(await cli.run("run", "flow.yaml", ...words)).toBe(2);
    expect(cli.stderr).toContain(problem);
  });

  test("Ctrl-C cancels the run once, twice leaves", async () => {
    const cancelled: string[] = [];
    let watched = (): void => {};
    const watching = new Promise<void>((resolve) => {
      watched = resolve;
    });
    let cancel = (): void => {};
    const cancellation = new Promise<void>((resolve) => {
      cancel = resolve;
    });
    const cli = cliWith(
      {
        runs: {
          ...endingWith(ENDED),
          cancelRun: ({ runId, reason }) => {
            cancelled.push(`${runId} ${reason}`);
            cancel();
            return {};
          },
          watchRun: async function* () {
            watched();
            await cancellation;
            yield {
              event: {
                runId: RUN,
                sequence: 9n,
                type: TaskEventType.RUN_CANCELLED,
                runState: RunState.CANCELLED,
              },
            };
          },
        },
      },
      { files: FILES, definitions: DEFINITIONS },
    );
    const exit = cli.run("run", "flow.yaml");
    await watching;
    cli.stopSignal("SIGINT");
    expect(() => cli.stopSignal("SIGINT")).toThrow(new ProcessExit(130));
    expect(() => cli.stopSignal("SIGTERM")).toThrow(new ProcessExit(143));
    expect(await exit).toBe(1);
    expect(cancelled).toEqual([`${RUN} cancelled at the command line`]);
    expect(cli.stops).toBe(1);
  });

  test("a failed store ends it with 70", async () => {
    const cli = cliWith(
      {
        runs: {
          ...endingWith(ENDED),
          watchRun: async function* () {
            yield await new Promise<never>(() => {});
          },
        },
      },
      {
        files: FILES,
        definitions: DEFINITIONS,
        daemon: { failed: Promise.resolve(new Error("EIO")) },
      },
    );
    expect(await cli.run("run", "flow.yaml")).toBe(70);
    expect(cli.stderr).toContain("the store failed");
  });
});

describe("output", () => {
  const piece = (attempt: number, offset: number, text: string) => ({
    attempt,
    offset: BigInt(offset),
    data: new TextEncoder().encode(text),
  });

  test("prints what the task writes; gaps and new attempts are told on the side", async () => {
    const asked: unknown[] = [];
    const cli = cliWith({
      runs: {
        async *watchOutput({ runId, taskId }) {
          asked.push([runId, taskId]);
          const euro = new TextEncoder().encode("€");
          yield piece(1, 0, "one ");
          yield piece(1, 9, "two");
          yield { attempt: 2, offset: 0n, data: euro.subarray(0, 1) };
          yield { attempt: 2, offset: 1n, data: euro.subarray(1) };
        },
      },
    });
    expect(await cli.run("output", RUN, "analyze[3]")).toBe(0);
    expect(asked).toEqual([[RUN, "analyze[3]"]]);
    expect(cli.stdout).toBe("one two€");
    expect(cli.stderr).toBe("goclaw: 5 bytes are lost\ngoclaw: attempt 2 begins\n");
  });

  test("a task that does not exist is a failure", async () => {
    const cli = cliWith({
      runs: {
        // biome-ignore lint/correctness/useYield: it fails before the first piece
        async *watchOutput() {
          throw new ConnectError("no such task", Code.NotFound);
        },
      },
    });
    expect(await cli.run("output", RUN, "a")).toBe(1);
    expect(cli.stdout).toBe("");
    expect(cli.stderr).toContain("no such task");
  });
});

describe("watch", () => {
  const event = (sequence: bigint) =>
    create(TaskEventSchema, {
      runId: RUN,
      sequence,
      type: TaskEventType.TASK_PROGRESS,
      taskId: "a",
    });

  test("a stream that is cut is resumed after the last event, every event once", async () => {
    const asked: bigint[] = [];
    const cli = cliWith({
      runs: {
        ...endingWith(ENDED),
        watchRun: async function* ({ afterSequence }) {
          asked.push(afterSequence);
          if (asked.length === 1) {
            yield { event: event(6n) };
            throw new ConnectError("too slow", Code.ResourceExhausted);
          }
          if (asked.length === 2) throw new ConnectError("restarting", Code.Unavailable);
          if (asked.length === 3) {
            yield { event: event(7n) };
            return;
          }
          yield { event: ENDED };
        },
      },
    });
    const exit = cli.run("watch", RUN, "--after", "5", "--json");
    while (cli.stdout.split("\n").length < 4) await cli.clock.advance(5_000);
    expect(await exit).toBe(0);
    expect(asked).toEqual([5n, 6n, 6n, 7n]);
    expect(
      cli.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).sequence),
    ).toEqual(["6", "7", "9"]);
  });

  test("a daemon that does not come back is given up", async () => {
    let asked = 0;
    const cli = cliWith({
      runs: {
        ...endingWith(ENDED),
        watchRun: async function* () {
          asked++;
          yield await Promise.reject(new ConnectError("gone", Code.Unavailable));
        },
      },
    });
    let code: number | undefined;
    const exit = cli.run("watch", RUN).then((ended) => {
      code = ended;
    });
    while (code === undefined) await cli.clock.advance(5_000);
    await exit;
    expect(code).toBe(3);
    expect(asked).toBe(11);
    expect(cli.stderr).toMatch(
      /^goclaw: the stream of events was cut; resuming it\ngoclaw: no daemon answers/,
    );
  });

  test("a run that had ended before is told apart from a cut stream", async () => {
    const cli = cliWith({
      runs: {
        getRun: () => ({
          run: { runId: RUN, state: RunState.FAILED, sequence: 9n, failedTask: "a" },
        }),
        watchRun: async function* () {},
      },
    });
    expect(await cli.run("watch", RUN, "--after", "9", "--plain")).toBe(1);
    expect(cli.stdout).toBe("failed at task a\n");
  });

  test("Ctrl-C leaves and the run goes on", async () => {
    let watched = (): void => {};
    const watching = new Promise<void>((resolve) => {
      watched = resolve;
    });
    const cli = cliWith({
      runs: {
        ...endingWith(ENDED),
        watchRun: async function* (_request, { signal }) {
          watched();
          await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
          yield { event: event(1n) };
        },
      },
    });
    const exit = cli.run("watch", RUN);
    await watching;
    cli.stopSignal();
    expect(await exit).toBe(130);
    expect(cli.stderr).toContain(`goclaw watch ${RUN} shows it again`);
  });
});

describe("submit, cancel, signal", () => {
  test("a file is sent as a spec, anything else is a name", async () => {
    const requests: { source?: { case?: string; value?: unknown } }[] = [];
    const cli = cliWith(
      { runs: endingWith(ENDED, requests) },
      { files: FILES, definitions: DEFINITIONS },
    );
    expect(await cli.run("submit", "flow.yaml", "--idempotency-key", "k")).toBe(0);
    expect(await cli.run("submit", "support@2", "--json", "--session", "s")).toBe(0);
    expect(requests.map(({ source }) => source?.case)).toEqual(["spec", "definition"]);
    expect(requests[0]).toMatchObject({ idempotencyKey: "k" });
    expect(requests[1]).toMatchObject({ source: { value: "support@2" }, sessionId: "s" });
    expect(cli.stdout).toBe(`${RUN}\n{"runId":"${RUN}","sequence":"1"}\n`);
  });

  test("cancel passes reason and grace on", async () => {
    const requests: unknown[] = [];
    const cli = cliWith({
      runs: {
        cancelRun: (request) => {
          requests.push(request);
          return {};
        },
      },
    });
    expect(await cli.run("cancel", RUN, "--reason", "late", "--grace", "2s")).toBe(0);
    expect(requests).toMatchObject([{ runId: RUN, reason: "late", grace: "2s" }]);
  });

  const signalled = async (
    ...words: string[]
  ): Promise<{ code: number; sent: unknown[]; cli: FakeCli }> => {
    const sent: unknown[] = [];
    const cli = cliWith({
      runs: {
        sendSignal: ({ signal }) => {
          sent.push(signal);
          return {
            answers: [{ signalId: "s1", runId: RUN, taskId: "a", receipt: SignalReceipt.QUEUED }],
          };
        },
      },
    });
    return { code: await cli.run("signal", RUN, "a", ...words), sent, cli };
  };

  test("steer, interrupt and collect become their messages", async () => {
    const steer = await signalled("--steer", '{"focus":"q4"}', "--text", "hurry", "--id", "mine");
    expect(steer.code).toBe(0);
    expect(steer.cli.stdout).toBe("a  queued  s1\n");
    expect(steer.sent).toMatchObject([
      {
        runId: RUN,
        taskId: "a",
        signalId: "mine",
        signal: { case: "steer", value: { text: "hurry" } },
      },
    ]);
    const stop = await signalled("--interrupt", "--grace", "1s", "--replace-with", "7");
    expect(stop.sent).toMatchObject([
      {
        signal: {
          case: "interrupt",
          value: { grace: "1s", replaceWith: { kind: { case: "numberValue", value: 7 } } },
        },
      },
    ]);
    const quorum = await signalled("--collect", "x, y", "--mode", "2", "--deadline", "9s");
    expect(quorum.sent).toMatchObject([
      {
        signal: {
          case: "collect",
          value: { taskIds: ["x", "y"], mode: CollectMode.QUORUM, quorum: 2, deadline: "9s" },
        },
      },
    ]);
    const all = await signalled("--collect", "x");
    expect(all.sent).toMatchObject([{ signal: { value: { mode: CollectMode.ALL, quorum: 0 } } }]);
  });

  test.each([
    [[], "a signal is one of"],
    [["--text", "x", "--interrupt"], "a signal is one of"],
    [["--grace", "1s"], "these options go with --interrupt, which is missing"],
    [["--mode", "any"], "these options go with --collect, which is missing"],
    [["--steer", "{"], "--steer is not JSON"],
    [["--collect", "a", "--mode", "some"], '"some" is not a mode'],
  ])("%j is refused", async (words, problem) => {
    const { code, sent, cli } = await signalled(...words);
    expect(code).toBe(2);
    expect(sent).toEqual([]);
    expect(cli.stderr).toContain(problem);
  });
});

describe("reading", () => {
  test("get shows a run, its tasks and its output", async () => {
    const cli = cliWith({
      runs: {
        getRun: () => ({
          run: {
            runId: RUN,
            workflow: "support",
            version: "2",
            state: RunState.FAILED,
            reason: Reason.AGENT_ERROR,
            message: "no mail",
            failedTask: "intake",
            labels: { team: "a", area: "b" },
            sequence: 12n,
            tasks: [
              {
                taskId: "intake",
                agent: "Intake",
                state: TaskState.FAILED,
                attempt: 4,
                lane: "io",
              },
            ],
            output: { kind: { case: "boolValue", value: true } },
          },
        }),
      },
    });
    expect(await cli.run("get", RUN)).toBe(0);
    expect(cli.stdout).toBe(
      [
        RUN,
        "workflow    support 2",
        "state       failed  agent_error: no mail",
        "failed task intake",
        "labels      area=b team=a",
        "sequence    12",
        "",
        "TASK      AGENT   STATE   ATTEMPT  LANE  SINCE",
        "✖ intake  Intake  failed        4  io",
        "",
        "output",
        "true",
        "",
      ].join("\n"),
    );
  });

  test("get of a task says what it waits for", async () => {
    const cli = cliWith({
      engine: {
        getTaskStatus: ({ runId, taskId }) => ({
          runId,
          taskId,
          agent: "Intake",
          state: TaskState.SCHEDULED,
          waitingFor: "lane io is full",
          deps: ["a", "b"],
        }),
      },
    });
    expect(await cli.run("get", RUN, "intake")).toBe(0);
    expect(cli.stdout).toBe(
      [
        `${RUN} intake`,
        "agent       Intake",
        "state       scheduled",
        "waits for   lane io is full",
        "after       a, b",
        "",
      ].join("\n"),
    );
    expect(await cli.run("get", RUN, "intake", "--json")).toBe(0);
    expect(JSON.parse(cli.stdout.split("\n").at(-2) ?? "")).toMatchObject({
      state: "TASK_STATE_SCHEDULED",
      waitingFor: "lane io is full",
    });
  });

  test("list filters, pages and says when there is more", async () => {
    const requests: { pageSize: number; pageToken: string }[] = [];
    const cli = cliWith({
      runs: {
        listRuns: (request) => {
          requests.push(request);
          const runs = Array.from({ length: Math.min(request.pageSize, 1_000) }, () => ({
            runId: RUN,
            workflow: "support",
            state: RunState.COMPLETED,
          }));
          return { runs, nextPageToken: requests.length < 3 ? "next" : "" };
        },
      },
    });
    const words = [
      "--state",
      "failed",
      "--state",
      "RUNNING",
      "--name",
      "support",
      "--label",
      "a=b",
    ];
    expect(await cli.run("list", ...words, "--since", "2h", "--limit", "3")).toBe(0);
    expect(requests).toMatchObject([
      {
        states: [RunState.FAILED, RunState.RUNNING],
        workflow: "support",
        labels: { a: "b" },
        pageSize: 3,
        pageToken: "",
        acceptedAfter: { seconds: BigInt(cli.clock.now() / 1_000 - 7_200) },
      },
    ]);
    expect(cli.stdout.trim().split("\n")).toHaveLength(4);
    expect(cli.stderr).toContain("only the newest 3");
    const all = await cli.run("list", "--all", "--json");
    expect(all).toBe(0);
    expect(requests.slice(1)).toMatchObject([
      { pageSize: 1_000, pageToken: "" },
      { pageSize: 1_000, pageToken: "next" },
    ]);
  });

  test.each([
    [["--state", "runing"], "did you mean running?"],
    [["--limit", "0"], '"0" is not a limit'],
    [["--since", "yesterday"], '"yesterday" is neither a duration'],
  ])("list %j is refused", async (words, problem) => {
    const cli = cliWith({});
    expect(await cli.run("list", ...words)).toBe(2);
    expect(cli.stderr).toContain(problem);
  });

  test("lanes are listed, paused, resumed and resized", async () => {
    const changes: unknown[] = [];
    const lane = {
      name: "io",
      kind: LaneKind.NAMED,
      concurrency: 8,
      capacity: 10,
      occupied: 3,
      queued: 2,
      overflow: "block",
    };
    const cli = cliWith({
      admin: {
        listLanes: () => ({
          lanes: [lane, { name: "global", kind: LaneKind.GLOBAL, concurrency: 9, paused: true }],
        }),
        changeLane: (change) => {
          changes.push(change);
          return { lane };
        },
      },
    });
    expect(await cli.run("lanes")).toBe(0);
    expect(cli.stdout).toBe(
      [
        "LANE    KIND    SLOTS  QUEUED  BLOCKED  OLDEST  WHEN FULL  RATE",
        "io      named     3/8    2/10        0          block",
        "global  global    0/9       0        0                           paused",
        "",
      ].join("\n"),
    );
    expect(await cli.run("lanes", "pause", "io")).toBe(0);
    expect(await cli.run("lanes", "resume", "io")).toBe(0);
    expect(await cli.run("lanes", "resize", "io", "12")).toBe(0);
    expect(changes).toMatchObject([
      { name: "io", paused: true },
      { name: "io", paused: false },
      { name: "io", concurrency: 12 },
    ]);
    expect(await cli.run("lanes", "resize", "io", "-1")).toBe(2);
    expect(await cli.run("lanes", "resize", "io", "0")).toBe(2);
    expect(changes).toHaveLength(3);
  });

  test("agents of the daemon, or of a directory", async () => {
    const cli = cliWith({
      admin: {
        listAgents: () => ({
          agents: [{ name: "A", transport: "plugin", expectedMs: 1_500 }],
          workers: [
            {
              instanceId: "w-1",
              name: "ranker",
              state: WorkerState.SILENT,
              surface: "session",
              agents: ["a", "b", "c", "d"].map((name) => ({ name, version: "1.0.0" })),
              capacity: { default: 8, gpu: 1 },
              taken: { default: 3 },
              labels: { zone: "b" },
              inFlight: 3,
            },
          ],
        }),
      },
    });
    expect(await cli.run("agents")).toBe(0);
    expect(await cli.run("agents", "--agents", "dir")).toBe(0);
    expect(cli.servers).toEqual(["http://127.0.0.1:7420", "http://embedded"]);
    expect(cli.stops).toBe(1);
    expect(cli.stdout).toContain("A               plugin");
    expect(cli.stdout).toMatch(
      /w-1 +ranker +silent +session +3 +default 3\/8, gpu 0\/1 .*zone=b +a@1\.0\.0, b@1\.0\.0, c@1\.0\.0 and 1 more/i,
    );
    expect(await cli.run("agents", "--agents", "dir", "--server", "x")).toBe(2);
  });

  test("definitions are registered, listed and shown", async () => {
    const definition = {
      name: "support",
      version: "2",
      namespace: "default",
      hash: "abcdef0123456789",
    };
    const registered: unknown[] = [];
    const cli = cliWith(
      {
        admin: {
          listDefinitions: () => ({ definitions: [definition] }),
          registerDefinition: ({ spec }) => {
            registered.push(spec);
            return { definition };
          },
          getDefinition: ({ name }) => ({ definition, spec: { name } }),
        },
      },
      { files: FILES, definitions: DEFINITIONS },
    );
    expect(await cli.run("definitions")).toBe(0);
    expect(await cli.run("definitions", "register", "flow.yaml")).toBe(0);
    expect(await cli.run("definitions", "show", "support")).toBe(0);
    expect(registered).toMatchObject([{ name: "support" }]);
    expect(cli.stdout).toContain("support  2        default         abcdef012345");
    expect(cli.stdout).toContain('"name": "support"');
  });
});

describe("plan and validate", () => {
  test("plan prints each format", async () => {
    const cli = cliWith({}, { files: FILES, definitions: DEFINITIONS });
    expect(await cli.run("plan", "flow.yaml")).toBe(0);
    expect(cli.stdout).toContain("hot path  intake");
    expect(await cli.run("plan", "flow.yaml", "--format", "mermaid")).toBe(0);
    expect(cli.stdout).toContain("flowchart LR");
    expect(cli.servers).toEqual([]);
  });

  test("validate goes through all files and exits with 2 when one is wrong", async () => {
    const cli = cliWith({}, { files: FILES, definitions: DEFINITIONS });
    expect(await cli.run("validate", "flow.yaml", "bad.yaml", "flow.yaml")).toBe(2);
    expect(cli.stdout).toBe("flow.yaml: support is valid, 1 task\n".repeat(2));
    expect(cli.stderr).toBe("bad.yaml:1:1 name is missing\nbad.yaml:2:3 tasks is missing\n");
    expect(await cli.run("validate", "flow.yaml")).toBe(0);
    expect(await cli.run("validate", "none.yaml")).toBe(2);
  });
});

describe("init", () => {
  test("writes the starter project and says what next", async () => {
    const cli = new FakeCli();
    expect(await cli.run("init", "shop")).toBe(0);
    expect([...cli.written.keys()]).toEqual(
      Object.keys(STARTER_FILES).map((name) => `/here/shop/${name}`),
    );
    expect(cli.stdout).toContain("Next: cd shop && goclaw run workflow.yaml");
  });

  test("writes nothing when one of the files exists", async () => {
    const cli = new FakeCli({ files: { "/here/workflow.yaml": "mine" } });
    expect(await cli.run("init")).toBe(2);
    expect(cli.written.size).toBe(0);
    expect(cli.stderr).toBe("goclaw: . already has workflow.yaml; nothing was written\n");
  });
});

describe("serve", () => {
  test("says where it listens, drains on the first signal, leaves on the second", async () => {
    let stopped = (): void => {};
    const stopping = new Promise<void>((resolve) => {
      stopped = resolve;
    });
    const cli = new FakeCli({
      daemon: { address: "http://127.0.0.1:9", notices: ["LevelDB is used"], stop: () => stopping },
    });
    const exit = cli.run("serve", "--data", "d", "--listen", "127.0.0.1:0", "--insecure");
    while (!cli.stdout.includes("\n")) await cli.clock.settle();
    expect(cli.stdout).toBe("listening on http://127.0.0.1:9\n");
    expect(cli.stderr).toBe("goclaw: LevelDB is used\n");
    expect(cli.started).toEqual([
      {
        kind: "serve",
        options: { data: "d", listen: "127.0.0.1:0", insecure: true },
        baseDir: "/here",
      },
    ]);
    cli.stopSignal("SIGTERM");
    expect(cli.stderr).toContain("SIGTERM: finishing running attempts");
    expect(() => cli.stopSignal("SIGTERM")).toThrow(new ProcessExit(143));
    stopped();
    expect(await exit).toBe(0);
    expect(cli.listening).toBe(0);
  });

  test("a failed store ends it with 70 and without draining", async () => {
    let fail = (_: Error): void => {};
    const failed = new Promise<Error>((resolve) => {
      fail = resolve;
    });
    const cli = new FakeCli({
      daemon: { failed, stop: () => Promise.reject(new Error("drained")) },
    });
    const exit = cli.run("serve");
    while (!cli.stdout.includes("\n")) await cli.clock.settle();
    fail(new Error("write: EIO"));
    expect(await exit).toBe(70);
    expect(cli.stderr).toMatch(/^goclaw: the store failed .*write: EIO/);
  });
});
