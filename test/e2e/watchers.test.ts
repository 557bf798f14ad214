/**
 * Watchers that never read: the daemon holds a bounded amount for each, gives them up, and serves those that read as if
 * the others were not there. Whoever was given up learns where to go on, and goes on without a hole.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { expect, onTestFinished, test } from "vitest";
import { RunState, type TaskEvent, TaskEventType } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService, type WatchRunResponse } from "../../gen/goclaw/v1/run_service_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { startDaemon, type TestDaemon } from "../support/daemon.ts";

const STALLED = 200;
const READING = 5;
const NOTES = 1_500;
const NOTE_BYTES = 4_000;
const COMPLETED = TaskEventType.TASK_COMPLETED;
const RESUMABLE = new Set([Code.ResourceExhausted, Code.Canceled, Code.Unavailable]);
const MIB = 1024 * 1024;
/** Streams of one client; the daemon permits a hundred on a connection. */
const STREAMS_PER_CLIENT = 75;

/** Agents that wait for the file GO, and that say a lot. */
const AGENTS = `
import { existsSync } from "node:fs";
export const gate = {
  name: "gate",
  async run() {
    while (!existsSync("GO")) await new Promise((resolve) => setTimeout(resolve, 20));
    return null;
  },
};
export const talker = { name: "talker", run: async () => ".".repeat(${NOTE_BYTES}) };
`;

const SPEC = {
  name: "talk",
  tasks: [
    { id: "gate", agent: "gate" },
    { id: "talk", agent: "talker", deps: ["gate"], forEach: "input.notes" },
  ],
};

test(`${STALLED} watchers that never read are given up within bounds; ${READING} others see everything`, {
  timeout: 240_000,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), "goclaw-watchers-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "agents"));
  writeFileSync(join(directory, "agents/talkers.mjs"), AGENTS);
  // Little heap: garbage is collected instead of kept, and whoever held everything for everybody would not live.
  const env = { NODE_OPTIONS: "--max-old-space-size=400", GOCLAW_RESERVE_BYTES: "0" };
  const daemon = await startDaemon({ directory, env });
  const input = fromJson(ValueSchema, { notes: Array.from({ length: NOTES }, (_, n) => n) });
  const { runId } = await daemon
    .client(RunService)
    .startRun({ run: { source: { case: "spec", value: SPEC }, input } });

  const readers = clientsFor(daemon, READING).map((client) => readAll(client, runId));
  const stalled = await Promise.all(
    clientsFor(daemon, STALLED).map(async (client) => {
      const events = client.watchRun({ runId })[Symbol.asyncIterator]();
      await events.next();
      return events;
    }),
  );
  await metricReaches(daemon, "goclaw_watchers", STALLED + READING);
  const before = residentBytes(daemon);
  writeFileSync(join(directory, "GO"), "");

  for (const events of await Promise.all(readers)) {
    expect(events.map(({ sequence }) => Number(sequence))).toEqual(events.map((_, at) => at + 1));
    const said = events.filter(({ taskId, type }) => type === COMPLETED && taskId.includes("["));
    expect(said).toHaveLength(NOTES);
    expect(events.at(-1)?.runState).toBe(RunState.COMPLETED);
  }
  await metricReaches(daemon, "goclaw_watchers", 0);
  // Everything that was said, held for every watcher, would be more than a gigabyte.
  expect(residentBytes(daemon) - before).toBeLessThan(700 * MIB);

  for (const events of [stalled[0], stalled.at(-1)]) {
    const { last, error } = await readOut(events);
    expect(error.code).toBe(Code.ResourceExhausted);
    const [info] = error.findDetails(ErrorInfoSchema);
    expect(info?.reason).toBe("WATCHER_SLOW");
    expect(info?.metadata.last_sequence).toBe(String(last));
    const rest = await readAll(daemon.client(RunService), runId, BigInt(last));
    expect(Number(rest[0]?.sequence)).toBe(last + 1);
    expect(rest.map(({ sequence }) => Number(sequence))).toEqual(
      rest.map((_, at) => last + 1 + at),
    );
    expect(rest.at(-1)?.runState).toBe(RunState.COMPLETED);
  }
});

/** One client for each of `count` streams, spread over as many connections as the limit of streams asks for. */
function clientsFor(daemon: TestDaemon, count: number): Client<typeof RunService>[] {
  const clients: Client<typeof RunService>[] = [];
  for (let left = count; left > 0; left -= STREAMS_PER_CLIENT) {
    const client = daemon.client(RunService);
    for (let n = Math.min(left, STREAMS_PER_CLIENT); n > 0; n--) clients.push(client);
  }
  return clients;
}

async function readAll(
  client: Client<typeof RunService>,
  runId: string,
  afterSequence = 0n,
): Promise<TaskEvent[]> {
  const events: TaskEvent[] = [];
  for (;;) {
    const last = events.at(-1)?.sequence ?? afterSequence;
    try {
      for await (const { event } of client.watchRun({ runId, afterSequence: last })) {
        if (event !== undefined) events.push(event);
      }
      return events;
    } catch (error) {
      // On a busy machine a reader of this process may stand still as well; then it does what every client should.
      if (!RESUMABLE.has(ConnectError.from(error).code)) throw error;
    }
  }
}

/** Reads what is left of a stalled stream: its first event was 1. */
async function readOut(
  events: AsyncIterator<WatchRunResponse> | undefined,
): Promise<{ last: number; error: ConnectError }> {
  let last = 1;
  try {
    for (;;) {
      const next = await events?.next();
      if (next === undefined || next.done === true) throw new Error("the stream ended well");
      expect(Number(next.value.event?.sequence)).toBe(last + 1);
      last++;
    }
  } catch (error) {
    return { last, error: ConnectError.from(error) };
  }
}

async function metricReaches(daemon: TestDaemon, name: string, value: number): Promise<void> {
  await expect
    .poll(
      async () => {
        const text = await (await fetch(`${daemon.address}/metrics`)).text();
        return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
      },
      { timeout: 60_000, interval: 100 },
    )
    .toBe(value);
}

function residentBytes(daemon: TestDaemon): number {
  const status = readFileSync(`/proc/${daemon.process.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
}
