/**
 * The workers of examples/workers: each passes the conformance kit, and each keeps every result while its daemon and then
 * the worker itself are killed with `kill -9`.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { RunState, type TaskEvent, TaskEventType } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { startDaemon, type TestDaemon } from "../support/daemon.ts";
import { LANGUAGES, type Language, makeStubs } from "../support/example-workers.ts";
import { GOCLAW, GoclawProcess } from "../support/goclaw-process.ts";
import { problemsOf } from "../support/ledger.ts";

let stubs: ReturnType<typeof makeStubs>;
beforeAll(() => {
  stubs = makeStubs();
});
afterAll(() => stubs.remove());

/** Tasks of the run that is killed; a process per task is slower than a thread. */
const TASKS: Readonly<Record<Language, number>> = {
  typescript: 400,
  python: 400,
  ruby: 400,
  shell: 12,
};

/** All at once, because most of a kit's time is waiting. */
async function each(check: (language: Language) => Promise<void>): Promise<void> {
  await Promise.all(LANGUAGES.map(check));
}

test("every worker passes the conformance kit", () => each(passesKit));
test("none loses a result when its daemon and the worker are killed", () => each(survivesKills));

async function passesKit(language: Language): Promise<void> {
  const { command, environment } = stubs.worker(language);
  // Patient, because a shell starts dozens of processes for a task while the others keep the machine busy.
  const words = ["conformance", "worker", "--patience", "20000", "--", ...command];
  const kit = new GoclawProcess(GOCLAW, words, { env: environment });
  const { exit, stdout, stderr } = await kit.ended;
  expect(exit, `${language}\n${stdout}\n${stderr}`).toBe(0);
  expect(stdout).toMatch(/^ok 13 /m);
}

async function survivesKills(language: Language): Promise<void> {
  const agent = `${language}.sleep`;
  let daemon = await startDaemon({ env: { GOCLAW_LOG__LEVEL: "error" } });
  const startWorker = (): GoclawProcess => {
    const { command, environment } = stubs.worker(language);
    const [program = "", ...words] = command;
    const env = { ...environment, GOCLAW_SERVER: daemon.address, GOCLAW_AGENTS: agent };
    return new GoclawProcess(program, words, { env });
  };
  const worker = startWorker();
  const runId = await submit(daemon, agent, TASKS[language]);
  await completions(daemon, runId, TASKS[language] / 4);
  daemon.process.signal("SIGKILL");
  await daemon.process.ended;
  const { directory, authority: listen } = daemon;
  daemon = await startDaemon({ directory, listen, env: { GOCLAW_LOG__LEVEL: "error" } });
  await completions(daemon, runId, TASKS[language] / 2);
  worker.signal("SIGKILL");
  await worker.ended;
  const successor = startWorker();
  const events = await completions(daemon, runId, Number.POSITIVE_INFINITY);
  expect(problemsOf(events), language).toEqual([]);
  expect(events.at(-1)?.runState, language).toBe(RunState.COMPLETED);
  expect(instances(events)).toHaveLength(TASKS[language]);
  expect(new Set(instances(events)).size).toBe(TASKS[language]);
  successor.signal("SIGTERM");
  expect((await successor.ended).exit, language).toBe(0);
}

test("their agents are shown with their workers", async () => {
  const daemon = await startDaemon();
  const { command, environment } = stubs.worker("python");
  const [program = "", ...words] = command;
  const env = { ...environment, GOCLAW_SERVER: daemon.address, GOCLAW_AGENTS: "python.echo" };
  new GoclawProcess(program, words, { env });
  const runId = await submit(daemon, "python.echo", 1);
  await completions(daemon, runId, Number.POSITIVE_INFINITY);
  const { agents, workers } = await daemon.client(AdminService).listAgents({});
  expect(agents.find(({ name }) => name === "python.echo")).toMatchObject({ transport: "worker" });
  expect(workers).toMatchObject([{ name: "python", inFlight: 0 }]);
});

async function submit(daemon: TestDaemon, agent: string, tasks: number): Promise<string> {
  const items = Array.from({ length: tasks }, () => ({ ms: 20 }));
  const spec = { name: "many", tasks: [{ id: "one", agent, forEach: "input.items" }] };
  const { runId } = await daemon.client(RunService).startRun({
    run: {
      source: { case: "spec", value: spec },
      inputData: {
        mediaType: "application/json",
        data: new TextEncoder().encode(JSON.stringify({ items })),
      },
    },
  });
  return runId;
}

const instances = (events: readonly TaskEvent[]): string[] =>
  events
    .filter(({ type, taskId }) => type === TaskEventType.TASK_COMPLETED && taskId.includes("["))
    .map(({ taskId }) => taskId);

/** The history of a run up to its end, or until that many instances have completed. */
async function completions(
  daemon: TestDaemon,
  runId: string,
  wanted: number,
): Promise<readonly TaskEvent[]> {
  const events: TaskEvent[] = [];
  for await (const { event } of daemon.client(RunService).watchRun({ runId })) {
    if (event !== undefined) events.push(event);
    if (instances(events.slice(-1)).length > 0 && instances(events).length >= wanted) break;
  }
  return events;
}
