/**
 * `kill -9` at any moment loses nothing that was acknowledged and does nothing twice: a client submits under load with
 * idempotency keys while the daemon is killed and started again, then every history is accounted for.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { RunState, TaskEventType } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { prng } from "../../src/base/hash.ts";
import { startDaemon, type TestDaemon } from "../support/daemon.ts";
import { problemsOf } from "../support/ledger.ts";

const KILLS = 100;
const SEED = 20_261_122;

/** Works a moment, then writes one line per result, so that a task done twice shows. */
const WORKER = `
import { appendFileSync } from "node:fs";
export const worker = {
  name: "worker",
  async run(input, ctx) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    appendFileSync(process.env.LEDGER, ctx.runId + "/" + ctx.taskId + "/" + ctx.attempt + "\\n");
    return { n: input?.n ?? null };
  },
};
`;

const SPEC = {
  name: "torture",
  tasks: [
    { id: "first", agent: "worker" },
    { id: "left", agent: "worker", deps: ["first"] },
    { id: "right", agent: "worker", deps: ["first"] },
    { id: "last", agent: "worker", deps: ["left", "right"] },
  ],
};

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "goclaw-kill-"));
  mkdirSync(join(directory, "agents"));
  writeFileSync(join(directory, "agents/worker.mjs"), WORKER);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Runs that were acknowledged, by key. */
const acknowledged = new Map<string, string>();

let onAcknowledged = (): void => {};

/** Resolves after `count` further acknowledgements. */
function acknowledgements(count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    onAcknowledged = () => {
      left--;
      if (left === 0) resolve();
    };
  });
}

/** Submits until the daemon is gone; a key without an answer is submitted again in the next life. */
async function submitUntilGone(
  daemon: TestDaemon,
  keys: Iterator<string>,
  retry: string[],
): Promise<void> {
  const client = daemon.client(RunService);
  for (;;) {
    const key = retry.shift() ?? (keys.next().value as string);
    try {
      const { runId } = await client.startRun({
        run: { source: { case: "definition", value: "torture" }, idempotencyKey: key },
      });
      const before = acknowledged.get(key);
      if (before !== undefined && before !== runId) throw new Error(`key ${key} started two runs`);
      acknowledged.set(key, runId);
      onAcknowledged();
    } catch (error) {
      retry.push(key);
      const { code } = ConnectError.from(error);
      if (
        code !== Code.Unavailable &&
        code !== Code.Internal &&
        code !== Code.Aborted &&
        code !== Code.Unknown &&
        code !== Code.Canceled
      )
        throw error;
      return;
    }
  }
}

function* keysFrom(prefix: string): Generator<string, string> {
  for (let n = 0; ; n++) yield `${prefix}${n}`;
}

test(`${KILLS} × kill -9 under load: nothing acknowledged is lost, nothing happens twice`, {
  timeout: 600_000,
}, async () => {
  const random = prng(SEED);
  const ledger = join(directory, "ledger");
  const start = () =>
    startDaemon({ directory, env: { LEDGER: ledger, GOCLAW_LOG__LEVEL: "error" } });
  const clients = Array.from({ length: 8 }, (_, n) => ({
    keys: keysFrom(`client-${n}-`),
    retry: [] as string[],
  }));
  let daemon = await start();
  await daemon.client(AdminService).registerDefinition({ spec: SPEC });
  for (let kill = 0; kill < KILLS; kill++) {
    const load = clients.map(({ keys, retry }) => submitUntilGone(daemon, keys, retry));
    // One life in five ends somewhere in its start, the others after some work.
    await (random() < 0.2
      ? new Promise((resolve) => setTimeout(resolve, random() * 100))
      : acknowledgements(1 + Math.floor(random() * 40)));
    daemon.process.signal("SIGKILL");
    await daemon.process.ended;
    await Promise.all(load);
    daemon = await start();
  }
  const client = daemon.client(RunService);
  expect(acknowledged.size).toBeGreaterThan(KILLS);
  let restarts = 0;
  for (const [key, runId] of acknowledged) {
    const events = [];
    for await (const { event } of client.watchRun({ runId }))
      if (event !== undefined) events.push(event);
    expect(problemsOf(events), `history of ${runId}, key ${key}`).toEqual([]);
    expect(events.at(-1)?.runState).toBe(RunState.COMPLETED);
    const done = events.filter((event) => event.type === TaskEventType.TASK_COMPLETED);
    expect(done.map((event) => event.taskId).sort()).toEqual(["first", "last", "left", "right"]);
    restarts += events.filter((event) => event.type === TaskEventType.TASK_RETRYING).length;
  }
  expect(restarts).toBeGreaterThan(0);
  expectLedger(ledger);
  daemon.process.signal("SIGTERM");
  await daemon.process.ended;
});

/** No attempt delivered twice, and a task that ran again had not been reported done: one line per attempt. */
function expectLedger(file: string): void {
  const lines = readFileSync(file, "utf8").trim().split("\n");
  expect(new Set(lines).size).toBe(lines.length);
}
