/**
 * `kill -9` in the middle of the repository report's fan-out: after a restart on the same directory the run completes and
 * nothing that had finished runs again. The example's own agents do the work; a wrapper notes in a ledger which task
 * finished when, and keeps half of the files from finishing in the daemon's first life.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Client, type RunEvent } from "goclaw";
import { expect, test } from "vitest";
import { GitFixture, scratchDirectory } from "../support/git-fixture.ts";
import { start } from "../support/goclaw-process.ts";
import { collected } from "../support/sdk-calls.ts";

const EXAMPLE = join(import.meta.dirname, "../../examples/repo-report");
const FILES = 30;

/** Agents of the example, wrapped. */
function wrappedAgents(): string {
  const modules = readdirSync(join(EXAMPLE, "agents")).filter((name) => name.endsWith(".mjs"));
  const urls = modules.map((name) => pathToFileURL(join(EXAMPLE, "agents", name)).href);
  return `import { appendFileSync } from "node:fs";
${urls.map((url, index) => `import * as module${index} from ${JSON.stringify(url)};`).join("\n")}
const wrap = (agent) => ({
  ...agent,
  async run(input, ctx) {
    if (process.env.HOLD && input.path?.includes(process.env.HOLD)) await new Promise(() => {});
    const output = await agent.run(input, ctx);
    appendFileSync(process.env.LEDGER, ctx.taskId + "\\n");
    return output;
  },
});
${urls.map((_, index) => `export const agent${index} = wrap(Object.values(module${index})[0]);`).join("\n")}
`;
}

/** A directory with the example's configuration around the wrapped agents. */
function configuration(): {
  readonly config: string;
  readonly ledger: string;
  readonly data: string;
} {
  const directory = scratchDirectory();
  const config = join(directory, "goclaw.yaml");
  const agents = scratchDirectory();
  writeFileSync(join(agents, "wrapped.mjs"), wrappedAgents());
  const text = readFileSync(join(EXAMPLE, "goclaw.yaml"), "utf8")
    .replace("./agents", agents)
    .replaceAll("commands/", join(EXAMPLE, "commands/"));
  writeFileSync(config, text);
  return { config, ledger: join(directory, "ledger"), data: join(directory, "data") };
}

function repository(): GitFixture {
  const fixture = new GitFixture();
  for (let at = 0; at < FILES; at++) {
    fixture.write(`src/a-${at}.js`, `export const a = ${at};\n`);
    fixture.write(`src/hold-${at}.js`, `export const b = ${at};\n`);
  }
  fixture.commit("Begin");
  return fixture;
}

const completed = (events: readonly RunEvent[]) =>
  events.flatMap(({ type, taskId = "" }) => (type === "task_completed" ? [taskId] : []));

test("the report survives kill -9 without repeating finished work", async () => {
  const { config, ledger, data } = configuration();
  const serve = ["serve", "--config", config, "--data", data, "--listen", "127.0.0.1:0"];
  const input = { repository: repository().root, report: join(scratchDirectory(), "report.md") };
  const ledgerLines = () => readFileSync(ledger, "utf8").trimEnd().split("\n");

  const first = start(serve, { env: { LEDGER: ledger, HOLD: "hold-" } });
  const [, address = ""] = await first.until(/listening on (\S+)/);
  const submit = ["submit", join(EXAMPLE, "workflow.yaml"), "--server", address];
  const submitted = start([...submit, "--input", JSON.stringify(input)]);
  const [runId] = await submitted.until(/[0-7][0-9A-HJKMNP-TV-Z]{25}/);

  const client = new Client({ server: address });
  const before: RunEvent[] = [];
  for await (const event of client.run(runId).watch()) {
    before.push(event);
    if (completed(before).filter((id) => id.startsWith("analyze[")).length === FILES) break;
  }
  client.close();
  first.signal("SIGKILL");
  expect((await first.ended).exit).toBe("SIGKILL");
  const finishedBefore = completed(before);
  expect(finishedBefore).toEqual(expect.arrayContaining(["history", "files", "select"]));

  const second = start(serve, { env: { LEDGER: ledger } });
  const [, newAddress = ""] = await second.until(/listening on (\S+)/);
  const again = new Client({ server: newAddress });
  expect(await again.run(runId).result()).toMatchObject({ report: { analysed: 2 * FILES } });
  const events = await collected(again.run(runId).watch());
  again.close();
  second.signal("SIGTERM");
  expect((await second.ended).exit).toBe(0);

  // What was acknowledged before is still there, as it was.
  expect(events.slice(0, before.length)).toEqual(before);
  const after = events.slice(before.length);
  const startedAfter = after.flatMap(({ type, taskId }) =>
    type === "task_started" ? [taskId] : [],
  );
  expect(startedAfter.filter((id) => id !== undefined && finishedBefore.includes(id))).toEqual([]);
  // Nothing completed twice, in the journal or in truth.
  expect(new Set(completed(events)).size).toBe(completed(events).length);
  expect(new Set(ledgerLines()).size).toBe(ledgerLines().length);
  expect(ledgerLines().filter((id) => id.startsWith("analyze["))).toHaveLength(2 * FILES);
  // Attempts that died with the daemon were tried again.
  expect(
    after.some(({ type, reason }) => type === "task_retrying" && reason === "WORKER_LOST"),
  ).toBe(true);
});
