/**
 * The polling counterpart of the reference worker: as small as the protocol permits, in the test's process, over JSON and
 * HTTP/1.1, and able to get one thing wrong. It exists to test the judge.
 */
import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import {
  type Assign,
  type PollTasksResponse,
  type ReportTaskRequestSchema,
  type ReportTaskResponse,
  WorkerService,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { jsonOf, wireValue } from "../../src/conformance/values.ts";
import type { WorkerProgram } from "../../src/conformance/worker-program.ts";
import { type Attempt, runTestAgent } from "./test-agents.ts";

/** What a bad polling worker gets wrong. */
export type PollQuirk =
  | "is a new instance on every poll"
  | "loses what is not ASCII"
  | "reports only at the end"
  | "names a lease once"
  | "cancels nothing"
  | "drops nothing"
  | "reports a result once"
  | "keeps results that are refused"
  | "runs twice what comes twice"
  | "breaks on leases it does not know"
  | "polls at once after a failure"
  | "does not wait after go away"
  | "leaves without a word";

type Report = Omit<MessageInitShape<typeof ReportTaskRequestSchema>, "$typeName" | "$unknown">;

const BEAT_MS = 200;
const COMMITTED = 1;

let instances = 0;

/** A program that is a reference poller with these quirks. */
export function referencePoller(...quirks: readonly PollQuirk[]): WorkerProgram {
  return {
    start: ({ GOCLAW_SERVER = "" }) => {
      const poller = new ReferencePoller(GOCLAW_SERVER, new Set(quirks));
      return {
        ended: poller.run(),
        terminate: () => poller.drain(),
        kill: () => poller.kill(),
        output: () => "",
      };
    },
  };
}

class ReferencePoller {
  readonly #client: Client<typeof WorkerService>;
  readonly #quirks: ReadonlySet<PollQuirk>;
  readonly #killed = new AbortController();
  readonly #running = new Map<string, Attempt>();
  readonly #taken = new Set<string>();
  readonly #work = new Set<Promise<void>>();
  #instance = `poller-${++instances}`;
  #polling = new AbortController();
  #isDraining = false;
  #failures = 0;

  constructor(baseUrl: string, quirks: ReadonlySet<PollQuirk>) {
    const json = { baseUrl, httpVersion: "1.1", useBinaryFormat: false } as const;
    this.#client = createClient(WorkerService, createConnectTransport(json));
    this.#quirks = quirks;
  }

  #has(quirk: PollQuirk): boolean {
    return this.#quirks.has(quirk);
  }

  async run(): Promise<string> {
    while (!this.#isDraining && !this.#killed.signal.aborted) await this.#poll();
    if (this.#killed.signal.aborted) return "signal SIGKILL";
    if (this.#has("leaves without a word")) {
      this.kill();
      return "exit 0";
    }
    await Promise.all(this.#work);
    return "exit 0";
  }

  drain(): void {
    this.#isDraining = true;
    this.#polling.abort();
  }

  kill(): void {
    this.#killed.abort();
    for (const { abort } of this.#running.values()) abort.abort();
  }

  async #poll(): Promise<void> {
    if (this.#has("is a new instance on every poll")) this.#instance += "x";
    const worker = {
      protocolVersion: 1,
      instanceId: this.#instance,
      agents: [{ name: "echo" }, { name: "sleep" }],
      capacity: { slots: { default: 8 } },
    };
    this.#polling = new AbortController();
    const signal = AbortSignal.any([this.#polling.signal, this.#killed.signal]);
    try {
      const found = await this.#client.pollTasks({ worker, maxTasks: 8, waitMs: 500 }, { signal });
      this.#failures = 0;
      for (const assign of found.assigns) this.#take(assign);
      this.#obey(found);
      const waitMs = found.goAway?.reconnectAfterMs ?? 0;
      if (!this.#has("does not wait after go away")) await this.#pause(waitMs);
    } catch {
      const mostMs = Math.min(5_000, 100 * 2 ** this.#failures++);
      const isHasty = this.#has("polls at once after a failure");
      if (!this.#isDraining) await this.#pause(isHasty ? 0 : Math.random() * mostMs);
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, delayMs));
  }

  #obey({ cancels, drops }: PollTasksResponse | ReportTaskResponse): void {
    const named = [...cancels.map(({ leaseId }) => leaseId), ...drops];
    const isStrange = named.some((lease) => !this.#taken.has(lease));
    if (isStrange && this.#has("breaks on leases it does not know")) this.kill();
    for (const { leaseId } of cancels) {
      if (!this.#has("cancels nothing")) this.#running.get(leaseId)?.abort.abort();
    }
    for (const lease of drops) {
      if (this.#has("drops nothing")) continue;
      this.#running.get(lease)?.abort.abort();
      this.#running.delete(lease);
    }
  }

  #take(assign: Assign): void {
    const { leaseId = "" } = assign.lease ?? {};
    if (this.#running.has(leaseId) && !this.#has("runs twice what comes twice")) return;
    const attempt: Attempt = { abort: new AbortController(), signals: [], wake: () => {} };
    this.#running.set(leaseId, attempt);
    this.#taken.add(leaseId);
    const work = this.#attempt(leaseId, assign, attempt).finally(() => this.#work.delete(work));
    this.#work.add(work);
  }

  async #attempt(leaseId: string, assign: Assign, attempt: Attempt): Promise<void> {
    const beats = this.#beat(leaseId);
    const input = jsonOf(assign.input, assign.inputData);
    const ended = await runTestAgent(assign.agent, input, attempt, () => {});
    clearInterval(beats);
    if (!this.#running.has(leaseId)) return;
    const report: Report =
      "class" in ended
        ? { fails: [{ leaseId, ...ended }] }
        : {
            completes: [{ leaseId, output: wireValue(this.#said(ended.output)) }],
          };
    await this.#deliver(leaseId, report);
    this.#running.delete(leaseId);
  }

  #said(output: JsonValue): JsonValue {
    const isText = typeof output === "string" && this.#has("loses what is not ASCII");
    return isText ? output.replaceAll(/[^ -~]/g, "?") : output;
  }

  #beat(leaseId: string): NodeJS.Timeout | undefined {
    const report = () => void this.#report({ leases: [leaseId] });
    if (!this.#has("reports only at the end")) report();
    const isQuiet = this.#has("reports only at the end") || this.#has("names a lease once");
    return isQuiet ? undefined : setInterval(report, BEAT_MS);
  }

  async #deliver(leaseId: string, report: Report): Promise<void> {
    for (let failures = 0; !this.#killed.signal.aborted; failures++) {
      const verdicts = (await this.#report(report))?.verdicts ?? [];
      const outcome = verdicts.find((verdict) => verdict.leaseId === leaseId)?.outcome;
      const isFinal = outcome === COMMITTED || !this.#has("keeps results that are refused");
      if ((outcome !== undefined && isFinal) || this.#has("reports a result once")) return;
      await this.#pause(Math.random() * Math.min(5_000, 100 * 2 ** failures));
    }
  }

  /** Reports and does what the answer says; undefined when there was none. */
  async #report(report: Report): Promise<ReportTaskResponse | undefined> {
    const instanceId = this.#instance;
    const { signal } = this.#killed;
    const answer = await this.#client
      .reportTask({ instanceId, ...report }, { signal })
      .catch(() => undefined);
    if (answer !== undefined) this.#obey(answer);
    return answer;
  }
}
