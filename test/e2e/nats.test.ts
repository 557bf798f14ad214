/**
 * The daemon and a real nats-server, killed under load in every combination: each committed event reaches the stream at
 * least once and in order per run, and runs go on ending while nobody takes their events.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it, onTestFinished } from "vitest";
import { RunState, type TaskEvent, TaskEventSchema } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService, type SubmitRunsRequestSchema } from "../../gen/goclaw/v1/run_service_pb.ts";
import type { BusMessage } from "../../src/ports/bus.ts";
import { type GoclawProcess, start } from "../support/goclaw-process.ts";
import { NatsListener } from "../support/nats-listener.ts";
import { NatsServer } from "../support/nats-server.ts";

const STREAM = "GOCLAW";
const LAST_EVENT = /\.run_(?:completed|failed|cancelled)$/;

const WORKFLOW = {
  name: "three",
  tasks: [
    { id: "a", agent: "echo" },
    { id: "b", agent: "echo", deps: ["a"] },
    { id: "c", agent: "echo", deps: ["b"] },
  ],
};

interface RunningDaemon {
  readonly process: GoclawProcess;
  readonly address: string;
  readonly client: Client<typeof RunService>;
}

async function startNats(): Promise<NatsServer> {
  const nats = await NatsServer.start();
  onTestFinished(() => nats.remove());
  return nats;
}

/** A configuration file for a daemon with a data directory of its own. */
async function configFor(nats: NatsServer): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-e2e-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, "goclaw.json");
  const bus = { kind: "nats", nats: { servers: [nats.url], stream: STREAM, createStream: true } };
  await writeFile(file, JSON.stringify({ data: "data", listen: "127.0.0.1:0", bus }));
  return file;
}

async function startDaemon(config: string): Promise<RunningDaemon> {
  const process = start(["serve", "--config", config]);
  const [, address = ""] = await process.until(/listening on (http:\/\/\S+)/);
  return {
    process,
    address,
    client: createClient(RunService, createGrpcTransport({ baseUrl: address })),
  };
}

/** Submits `count` runs on one stream, notes the ids of all that are accepted, tells of each that ended. */
async function load(
  { client }: RunningDaemon,
  count: number,
  accepted: Set<string>,
  onEnded: (ended: number) => void | Promise<void> = () => {},
): Promise<void> {
  let ended = 0;
  for await (const answer of client.submitRuns(submissions(count))) {
    expect(answer.refused).toEqual([]);
    for (const { runId } of answer.accepted) accepted.add(runId);
    for (const { state } of answer.ended) {
      expect(state).toBe(RunState.COMPLETED);
      ended++;
      await onEnded(ended);
    }
  }
}

async function* submissions(
  count: number,
): AsyncGenerator<MessageInitShape<typeof SubmitRunsRequestSchema>> {
  for (let from = 0; from < count; from += 20) {
    const runs = Array.from({ length: Math.min(20, count - from) }, (_, at) => ({
      number: BigInt(from + at),
      run: { source: { case: "spec" as const, value: WORKFLOW } },
    }));
    yield { runs };
  }
}

/** Per run, the sequences as the stream holds them. */
type Stored = ReadonlyMap<string, readonly number[]>;

/** Reads the stream until it holds the last event of every run. */
async function readStream(nats: NatsServer, runs: ReadonlySet<string>): Promise<Stored> {
  const listener = await NatsListener.connect(nats.url);
  const open = new Set(runs);
  const sequences = new Map<string, number[]>();
  for await (const { id, subject } of listener.stored(STREAM)) {
    const [run = "", sequence = ""] = id.split("/");
    const seen = sequences.get(run) ?? [];
    sequences.set(run, seen);
    seen.push(Number(sequence));
    if (LAST_EVENT.test(subject)) open.delete(run);
    if (open.size === 0) break;
  }
  await listener.close();
  return sequences;
}

/** Every sequence of every run, in order; repetitions are legal, gaps and overtaking are not. */
function expectGapless(sequences: Stored, runs: ReadonlySet<string>): void {
  for (const run of runs) {
    const first = [...new Set(sequences.get(run))];
    expect(first.length).toBeGreaterThanOrEqual(11);
    expect(first).toEqual(Array.from({ length: first.length }, (_, at) => at + 1));
  }
}

async function metric({ address }: RunningDaemon, name: string): Promise<number> {
  const text = await (await fetch(`${address}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}

describe("a daemon that publishes to NATS", () => {
  it("publishes what a watcher sees", async () => {
    const nats = await startNats();
    const daemon = await startDaemon(await configFor(nats));
    const { runId } = await daemon.client.startRun({
      run: { source: { case: "spec", value: WORKFLOW }, namespace: "team.a" },
    });
    const watched: TaskEvent[] = [];
    for await (const { event } of daemon.client.watchRun({ runId })) if (event) watched.push(event);

    const listener = await NatsListener.connect(nats.url);
    const heard: BusMessage[] = [];
    for await (const message of listener.stored(STREAM, `goclaw.v1.team_a.run.${runId}.>`)) {
      heard.push(message);
      if (LAST_EVENT.test(message.subject)) break;
    }
    await listener.close();
    expect(heard.map(({ id }) => id)).toEqual(
      watched.map(({ sequence }) => `${runId}/${sequence}`),
    );
    // Only a watcher is told the output of the run; the bus carries events as they were committed.
    const { output: _, outputData: __, ...last } = watched.pop() ?? create(TaskEventSchema);
    expect(heard.map(({ body }) => fromJson(TaskEventSchema, JSON.parse(body)))).toEqual([
      ...watched,
      last,
    ]);
    for (const { subject, body } of heard) {
      const type = `TASK_EVENT_TYPE_${subject.split(".").at(-1)?.toUpperCase()}`;
      expect(JSON.parse(body).type).toBe(type);
    }
  });

  it("loses nothing and keeps order while the server is killed under load, which slows nothing down", async () => {
    const nats = await startNats();
    const daemon = await startDaemon(await configFor(nats));
    const runs = new Set<string>();
    for (let round = 0; round < 3; round++) {
      let endedWhileDead = 0;
      let isDead = false;
      await load(daemon, 500, runs, async (ended) => {
        if (isDead) endedWhileDead++;
        if (ended !== 100) return;
        await nats.kill();
        isDead = true;
      });
      expect(endedWhileDead).toBe(400);
      expect(await metric(daemon, "goclaw_bus_lag_commits")).toBeGreaterThan(0);
      await load(daemon, 200, runs, async (ended) => {
        if (ended === 50) await nats.start();
      });
    }
    expect(runs.size).toBe(2_100);
    expectGapless(await readStream(nats, runs), runs);
    daemon.process.signal("SIGTERM");
    expect((await daemon.process.ended).exit).toBe(0);
  });

  it("resumes from its cursor when the daemon and the server are killed under load", async () => {
    const nats = await startNats();
    const config = await configFor(nats);
    const runs = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const daemon = await startDaemon(config);
      const cutShort = load(daemon, 400, runs, async (ended) => {
        if (ended !== 200) return;
        await nats.kill();
        daemon.process.signal("SIGKILL");
      });
      await expect(cutShort).rejects.toThrow();
      await daemon.process.ended;
      await nats.start();
    }
    expect(runs.size).toBeGreaterThan(600);
    const daemon = await startDaemon(config);
    await load(daemon, 100, runs);
    expectGapless(await readStream(nats, runs), runs);
  });

  it("starts and works while there is no server, and publishes everything when there is one", async () => {
    const nats = await startNats();
    await nats.kill();
    const daemon = await startDaemon(await configFor(nats));
    const runs = new Set<string>();
    await load(daemon, 100, runs);
    await nats.start();
    expectGapless(await readStreamWhenThere(nats, runs), runs);
  });
});

/** The stream is created by the daemon, some time after the server has started. */
async function readStreamWhenThere(nats: NatsServer, runs: ReadonlySet<string>): Promise<Stored> {
  const listener = await NatsListener.connect(nats.url);
  await new Promise<void>((resolve) => {
    void listener.subscribe("goclaw.v1.>", () => resolve());
  });
  await listener.close();
  return readStream(nats, runs);
}
