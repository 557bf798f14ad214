/**
 * The stage of the cases for daemons: each play has agents of its own name, so that all plays can go on at the same time on
 * one daemon without taking each other's work, starts its own runs through the public API and looks at them there. It
 * trusts nothing that only the worker protocol says.
 */
import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { type RunInfo, RunState, RunStateSchema } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { WorkerService } from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { TaskSpecSchema } from "../../gen/goclaw/v1/workflow_pb.ts";
import type { Millis } from "../base/time.ts";
import { pause } from "./inbox.ts";
import { type HelloInit, ScriptedWorker, type WorkerSettings } from "./scripted-worker.ts";
import { wireValue, wordOf } from "./values.ts";
import { type Clock, demand, Unmet } from "./verdicts.ts";

export interface SceneOptions {
  readonly server: string;
  readonly clock: Clock;
  readonly patienceMs: Millis;
}

/** What a task of a play has besides its agent. */
type Task = Pick<
  Extract<MessageInitShape<typeof TaskSpecSchema>, { $typeName?: never }>,
  "labels" | "retry" | "timeout"
>;

const LOOK_EVERY_MS = 50;
/** The one task of most runs. */
export const TASK = "it";

let scenes = 0;

export class EngineScene {
  readonly clock: Clock;
  readonly patienceMs: Millis;
  readonly server: string;
  readonly agent: string;
  readonly runs: Client<typeof RunService>;
  /** The poll surface as curl sees it: JSON over HTTP/1.1. */
  readonly polls: Client<typeof WorkerService>;
  readonly #workers: ScriptedWorker[] = [];
  readonly #started: string[] = [];

  constructor({ server, clock, patienceMs }: SceneOptions) {
    this.server = server;
    this.clock = clock;
    this.patienceMs = patienceMs;
    this.agent = `conformance.${Math.round(clock.now()).toString(36)}.${++scenes}`;
    this.runs = createClient(RunService, createGrpcTransport({ baseUrl: server }));
    const json = { baseUrl: server, httpVersion: "1.1", useBinaryFormat: false } as const;
    this.polls = createClient(WorkerService, createConnectTransport(json));
  }

  /** A Hello of a new instance that serves this scene's agent. */
  hello(init: HelloInit = {}): HelloInit {
    const number = this.#workers.length + 1;
    return {
      protocolVersion: 1,
      instanceId: `${this.agent}-${number}`,
      agents: [{ name: this.agent }],
      capacity: { slots: { default: 1 } },
      ...init,
    };
  }

  /** Opens a stream with this first message; nothing is awaited. */
  dial(hello: HelloInit | undefined, settings: Partial<WorkerSettings> = {}): ScriptedWorker {
    const { server, clock, patienceMs } = this;
    const worker = new ScriptedWorker({ server, clock, patienceMs, ...settings }, hello);
    this.#workers.push(worker);
    return worker;
  }

  /** Opens a stream and waits for its Welcome. */
  async worker(
    init: HelloInit = {},
    settings: Partial<WorkerSettings> = {},
  ): Promise<ScriptedWorker> {
    const worker = this.dial(this.hello(init), settings);
    await worker.welcomed();
    return worker;
  }

  /** The same instance on a new stream, with what it says it still has. */
  async returned(
    before: ScriptedWorker,
    leases: readonly string[],
    settings: Partial<WorkerSettings> = {},
  ): Promise<ScriptedWorker> {
    const resume = { token: before.welcome?.resumeToken ?? "", leases: [...leases] };
    const { instanceId } = before;
    return this.worker({ instanceId, resume }, { held: leases, ...settings });
  }

  /** Starts a run of one task of this scene's agent; answers with its id. */
  async start(task: Task = {}, input: JsonValue = null): Promise<string> {
    const tasks = [{ id: TASK, agent: this.agent, retry: { backoff: "50ms" }, ...task }];
    const source = { case: "spec", value: { name: "conformance", tasks } } as const;
    const { runId } = await this.runs.startRun({ run: { source, input: wireValue(input) } });
    this.#started.push(runId);
    return runId;
  }

  async look(runId: string): Promise<RunInfo> {
    const { run } = await this.runs.getRun({ runId });
    if (run === undefined) throw new Unmet(`run ${runId}`, "none");
    return run;
  }

  /** Waits for a run to be in a state. */
  async until(runId: string, state: RunState): Promise<RunInfo> {
    const until = this.clock.now() + this.patienceMs;
    for (;;) {
      const run = await this.look(runId);
      if (run.state === state) return run;
      const [wanted, seen] = [state, run.state].map((each) => wordOf(RunStateSchema, each));
      const why = `${seen}, ${run.message} ${JSON.stringify(run.tasks[0]?.waitingFor)}`;
      demand(this.clock.now() < until, `run ${runId} to be ${wanted}`, why);
      await pause(this.clock, LOOK_EVERY_MS);
    }
  }

  /** Waits for the completion of a run and looks at the output of its task. */
  async completedWith(runId: string, text: string): Promise<RunInfo> {
    const run = await this.until(runId, RunState.COMPLETED);
    const output = run.tasks[0]?.output?.kind.value;
    demand(output === text, `an output of "${text}"`, JSON.stringify(output));
    return run;
  }

  /** Waits, for silences that are part of a play. */
  pause(delayMs: Millis): Promise<void> {
    return pause(this.clock, delayMs);
  }

  /** Leaves nothing behind: no streams, no open runs. */
  async clear(): Promise<void> {
    for (const worker of this.#workers) worker.die();
    const cancelled = this.#started.map((runId) => this.runs.cancelRun({ runId, grace: "0ms" }));
    // Those that have ended refuse to be cancelled.
    await Promise.allSettled(cancelled);
  }
}
