/**
 * Memory in workflows against real daemons: agents of every transport remember and are shown, and `kill -9` between the
 * end of a task and the memory neither loses nor repeats anything.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MemoryService } from "../../gen/goclaw/v1/memory_service_pb.ts";
import { RunState } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { agent } from "../../src/sdk/agent.ts";
import { worker } from "../../src/sdk/worker.ts";
import { startDaemon, type TestDaemon } from "../support/daemon.ts";

const SESSION = { namespace: "default", sessionId: "s" };

/** Remembers what it is given, and answers with what it was shown and told. */
const PLUGIN = `
export const plugin = {
  name: "plugin",
  async run({ say }, { memory }) {
    memory.remember(say, { kind: "fact", metadata: { by: "plugin" } });
    const told = await memory.recall("tea", { filter: { by: "program" } });
    return { shown: memory.shown.map(({ text }) => text), told: told.map(({ text }) => text) };
  },
};
`;

const PROGRAM = `
import { createInterface } from "node:readline";
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { input, memories = [] } = JSON.parse((await lines.next()).value);
process.stderr.write("::goclaw remember " + JSON.stringify({ text: input.say, metadata: { by: "program" } }) + "\\n");
console.log(JSON.stringify({ shown: memories.map(({ text }) => text) }));
process.exit(0);
`;

const CONFIG = `
command_agents:
  - { name: program, command: [node, program.mjs] }
`;

async function daemonWithAgents(): Promise<TestDaemon> {
  const first = await startDaemon();
  const { directory } = first;
  mkdirSync(join(directory, "agents"), { recursive: true });
  writeFileSync(join(directory, "agents/plugin.mjs"), PLUGIN);
  writeFileSync(join(directory, "program.mjs"), PROGRAM);
  writeFileSync(join(directory, "goclaw.yaml"), CONFIG);
  first.process.signal("SIGKILL");
  await first.process.ended;
  return startDaemon({ directory, env: { GOCLAW_CONFIG: join(directory, "goclaw.yaml") } });
}

const retrieve = { vectorQuery: "who likes tea?" };

function task(id: string, name: string, say: string, rest = {}) {
  const input = { kind: { case: "structValue", value: { fields: { say: text(say) } } } } as const;
  return { id, agent: name, input, ...rest };
}

const text = (value: string) => ({ kind: { case: "stringValue", value } }) as const;

async function run(daemon: TestDaemon, tasks: object[]): Promise<Record<string, unknown>> {
  const { runId } = await daemon.client(RunService).startRun({
    run: { source: { case: "spec", value: { name: "w", tasks } }, sessionId: "s" },
  });
  for await (const _ of daemon.client(RunService).watchRun({ runId })) {
    // The stream ends with the run.
  }
  const { run: ended } = await daemon.client(RunService).getRun({ runId });
  expect(ended?.state).toBe(RunState.COMPLETED);
  return Object.fromEntries((ended?.tasks ?? []).map((one) => [one.taskId, toJson(one.output)]));
}

function toJson(value: unknown): unknown {
  const { kind } = (value ?? {}) as { kind?: { case: string; value: never } };
  if (kind?.case === "structValue") {
    const { fields } = kind.value as { fields: Record<string, unknown> };
    return Object.fromEntries(Object.entries(fields).map(([key, one]) => [key, toJson(one)]));
  }
  if (kind?.case === "listValue") return (kind.value as { values: unknown[] }).values.map(toJson);
  return kind?.value;
}

/** What the session holds once the memory has taken everything in: a task that asks waits until then. */
async function remembered(daemon: TestDaemon) {
  await run(daemon, [task("z", "program", "the end", { memory: { retrieve } })]);
  const { memories } = await daemon.client(MemoryService).listMemories({ session: SESSION });
  return memories;
}

test("agents of every transport remember, and later tasks of the run are shown it", async () => {
  const daemon = await daemonWithAgents();
  const remote = agent("remote", async ({ say }: { say: string }, { memory }) => {
    memory.remember(say, { metadata: { by: "remote" } });
    const told = await memory.recall("black tea", { limit: 1 });
    return {
      shown: memory.shown.map(({ text: shown }) => shown),
      told: told.map(({ text: said }) => said),
    };
  });
  const work = worker({ server: daemon.address, agents: [remote], stopOn: [] });
  await work.start();
  const outputs = await run(daemon, [
    task("one", "program", "Ann likes black tea", { memory: { retrieve } }),
    task("two", "remote", "Bob likes green tea", { deps: ["one"], memory: { retrieve } }),
    task("three", "plugin", "Cem likes mint tea", {
      deps: ["two"],
      memory: { retrieve, memorize: { content: "{{ three.shown }}", kind: "summary" } },
    }),
  ]);
  await work.stop();
  expect(outputs.one).toEqual({ shown: [] });
  const ann = ["Ann likes black tea"];
  expect(outputs.two).toEqual({ shown: ann, told: ann });
  expect(outputs.three).toEqual({
    shown: expect.arrayContaining(["Ann likes black tea", "Bob likes green tea"]),
    told: ["Ann likes black tea"],
  });
  const entries = await remembered(daemon);
  const of = (by: string) => entries.find(({ metadata }) => metadata.by === by);
  expect(of("plugin")).toMatchObject({
    kind: "fact",
    provenance: { taskId: "three", agent: "plugin" },
  });
  expect(of("plugin")?.provenance?.parents).toHaveLength(2);
  expect(of("remote")?.provenance).toMatchObject({ taskId: "two", agent: "remote" });
  const kinds = entries.map(({ kind }) => kind).sort();
  expect(kinds).toEqual(["fact", "note", "note", "note", "summary"]);
});

test("kill -9 as soon as a run has ended: its memories are there once, after any number of restarts", async () => {
  let daemon = await daemonWithAgents();
  const { directory } = daemon;
  for (let n = 0; n < 5; n++) {
    await run(daemon, [task("a", "program", `fact number ${n} is of ${"abcde"[n]?.repeat(9)}`)]);
    daemon.process.signal("SIGKILL");
    await daemon.process.ended;
    daemon = await startDaemon({
      directory,
      env: { GOCLAW_CONFIG: join(directory, "goclaw.yaml") },
    });
  }
  const facts = (await remembered(daemon))
    .map(({ content, reviews }) => `${reviews} ${content?.value.value}`)
    .filter((line) => line.includes("fact number"));
  expect(facts.map((line) => line.slice(0, "1 fact number 0".length)).sort()).toEqual(
    [0, 1, 2, 3, 4].map((n) => `1 fact number ${n}`),
  );
});
