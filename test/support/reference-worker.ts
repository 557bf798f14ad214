/**
 * A worker as small as the protocol permits, inside of the test's process, that can be told to get one thing wrong. It
 * exists to test the judge: with no quirk it must pass every case of the conformance kit, with a quirk it must fail those
 * that forbid it. It is written from the comments of the protocol alone and shares nothing with the SDK's worker.
 */
import type { JsonValue } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SignalReceipt } from "../../gen/goclaw/v1/run_pb.ts";
import {
  type Assign,
  type EngineMessage,
  type Signal,
  type Welcome,
  WorkerService,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { jsonOf } from "../../src/conformance/values.ts";
import type { WorkerProgram } from "../../src/conformance/worker-program.ts";
import { type Attempt, runTestAgent } from "./test-agents.ts";
import { type Part, WorkerOutbox } from "./worker-outbox.ts";

/** What a bad session worker gets wrong. */
export const SESSION_QUIRKS = [
  "acks only while a slot is left",
  "reads every input as a value",
  "breaks on leases it does not know",
  "ends attempts with unknown reasons by itself",
  "cancels nothing",
  "completes what is cancelled",
  "reports again when it is cancelled too late",
  "cancels everything at once",
  "drops nothing",
  "gives up before the first welcome",
  "exits without its verdicts",
  "resumes nothing",
  "forgets results as it sends them",
  "forgets results at the end of a stream",
  "is a new instance on every stream",
  "keeps dropped results to itself",
  "runs on what the welcome drops",
  "leaves without a drain",
  "leaves when its stream breaks",
  "lists only what runs",
  "lists everything for ever",
  "loses the class of failures",
  "answers probes with their lower half",
  "answers no probe while it is full",
  "turns null into an object",
  "counts no silence",
  "counts only work as a sign of life",
  "keeps results that are refused",
  "redials at once",
  "runs one attempt at a time",
  "runs twice what is assigned twice",
  "acks once what is assigned twice",
  "speaks version 2",
  "mistakes its token",
  "sends all that is ready in one message",
  "sends outputs of any size",
  "ignores agents it does not have",
  "shows signals as often as they come",
  "shows the latest signal first",
  "leaves at go away",
  "does not wait after go away",
  "takes only the first of a batch",
  "names its old lease",
  "reads at most a megabyte",
  "ignores a cancel that comes with its assign",
] as const;

export type SessionQuirk = (typeof SESSION_QUIRKS)[number];

const CAPACITY = 4;
const AGENTS = ["echo", "sleep", "fail", "listen"];
const CAPABILITIES = ["raw-values", "signals"];

/** A program that is a reference worker with these quirks. */
export function referenceWorker(...quirks: readonly SessionQuirk[]): WorkerProgram {
  return {
    start: ({ GOCLAW_SERVER = "" }) => {
      const worker = new ReferenceWorker(GOCLAW_SERVER, new Set(quirks));
      return {
        ended: worker.run(),
        terminate: () => worker.drain(),
        kill: () => worker.kill(),
        output: () => "",
      };
    },
  };
}

let instances = 0;

class ReferenceWorker {
  readonly #server: string;
  readonly #quirks: ReadonlySet<SessionQuirk>;
  readonly #killed = new AbortController();
  readonly #running = new Map<string, Attempt>();
  readonly #results = new Map<string, Part>();
  readonly #taken = new Set<string>();
  readonly #queue: Assign[] = [];
  /** By task: the first lease it ever had. */
  readonly #firstLease = new Map<string, string>();
  #instance = `reference-${++instances}`;
  #outbox: WorkerOutbox | undefined;
  #leave = new AbortController();
  #welcome: Welcome | undefined;
  #isDraining = false;
  #waitMs = 0;

  constructor(server: string, quirks: ReadonlySet<SessionQuirk>) {
    this.#server = server;
    this.#quirks = quirks;
  }

  #has(quirk: SessionQuirk): boolean {
    return this.#quirks.has(quirk);
  }

  async run(): Promise<string> {
    let longestMs = 100;
    for (;;) {
      const isWelcomed = await this.#session();
      if (this.#killed.signal.aborted) return "signal SIGKILL";
      if (this.#isDraining && this.#has("leaves when its stream breaks")) return "exit 0";
      if (this.#isDraining && this.#isIdle()) return "exit 0";
      if (!isWelcomed && this.#has("gives up before the first welcome")) return "exit 1";
      longestMs = isWelcomed ? 100 : Math.min(5_000, longestMs * 2);
      const pauseMs = this.#has("redials at once") ? 0 : Math.random() * longestMs;
      const waitMs = this.#has("does not wait after go away") ? 0 : this.#waitMs;
      this.#waitMs = 0;
      await new Promise((resolve) => setTimeout(resolve, Math.max(waitMs, pauseMs)));
    }
  }

  drain(): void {
    this.#isDraining = true;
    if (!this.#has("leaves without a drain")) this.#outbox?.say({ drain: {} });
    this.#leaveWhenIdle();
  }

  kill(): void {
    this.#killed.abort();
    for (const { abort } of this.#running.values()) abort.abort();
  }

  #isIdle(): boolean {
    const isDelivered = this.#results.size === 0 || this.#has("exits without its verdicts");
    return this.#running.size === 0 && isDelivered;
  }

  #leaveWhenIdle(): void {
    if (!this.#isDraining || !this.#isIdle()) return;
    // A moment for what has been said to be on its way.
    setImmediate(() => this.#outbox?.close());
  }

  /** One stream, from Hello to its end; answers whether it got a Welcome. */
  async #session(): Promise<boolean> {
    const transport = createGrpcTransport({
      baseUrl: this.#server,
      readMaxBytes: (this.#has("reads at most a megabyte") ? 1 : 4) * 1024 * 1024,
    });
    const outbox = new WorkerOutbox(this.#has("sends all that is ready in one message"));
    this.#leave = new AbortController();
    this.#welcome = undefined;
    outbox.say({ hello: this.#hello() });
    const signal = AbortSignal.any([this.#leave.signal, this.#killed.signal]);
    let patience: NodeJS.Timeout | undefined;
    try {
      const client = createClient(WorkerService, transport);
      for await (const message of client.openSession(outbox, { signal })) {
        const isSign =
          message.probe === undefined || !this.#has("counts only work as a sign of life");
        if (isSign) clearTimeout(patience);
        this.#hear(message, outbox);
        if (isSign) patience = this.#silenceTimer();
      }
    } catch {
      // Every end of a stream means the same.
    }
    clearTimeout(patience);
    this.#outbox = undefined;
    if (this.#has("forgets results at the end of a stream")) this.#results.clear();
    return this.#welcome !== undefined;
  }

  #silenceTimer(): NodeJS.Timeout | undefined {
    if (this.#has("counts no silence")) return undefined;
    const limitMs = this.#welcome?.silenceLimitMs ?? 15_000;
    return setTimeout(() => this.#leave.abort(), limitMs);
  }

  #hello(): NonNullable<Part["hello"]> {
    if (this.#has("is a new instance on every stream")) this.#instance += "x";
    const resume = {
      token: this.#has("mistakes its token") ? this.#token.toUpperCase() : this.#token,
      leases: this.#has("resumes nothing") ? [] : [...this.#held()],
    };
    return {
      protocolVersion: this.#has("speaks version 2") ? 2 : 1,
      instanceId: this.#instance,
      name: "reference",
      capabilities: CAPABILITIES,
      agents: AGENTS.map((name) => ({ name, version: "1.2.3", slotCost: 1 })),
      capacity: { slots: { default: CAPACITY } },
      ...(this.#token === "" ? {} : { resume }),
    };
  }

  #token = "";

  #held(): Iterable<string> {
    if (this.#has("lists everything for ever")) return this.#taken;
    return new Set([...this.#running.keys(), ...this.#results.keys()]);
  }

  #hear(message: EngineMessage, outbox: WorkerOutbox): void {
    const { welcome, assigns, probe, signals, cancels, drops, verdicts, goAway } = message;
    if (welcome !== undefined) this.#begin(welcome, outbox);
    const known = this.#has("takes only the first of a batch") ? assigns.slice(0, 1) : assigns;
    for (const assign of known) this.#take(assign);
    if (probe !== undefined) this.#beat(probe.nonce);
    for (const signal of signals) this.#signal(signal);
    const isLate = this.#has("ignores a cancel that comes with its assign") && assigns.length > 0;
    for (const { leaseId, reason } of isLate ? [] : cancels) this.#cancel(leaseId, reason);
    for (const leaseId of drops) this.#drop(leaseId);
    for (const { leaseId, outcome } of verdicts) {
      if (outcome > 1 && this.#has("keeps results that are refused")) continue;
      this.#results.delete(leaseId);
    }
    if (goAway !== undefined) {
      this.#waitMs = goAway.reconnectAfterMs;
      if (this.#has("leaves at go away")) outbox.close();
    }
    this.#leaveWhenIdle();
  }

  #begin(welcome: Welcome, outbox: WorkerOutbox): void {
    this.#welcome = welcome;
    this.#token = welcome.resumeToken;
    this.#outbox = outbox;
    outbox.maxBytes = welcome.maxMessageBytes;
    if (!this.#has("runs on what the welcome drops")) {
      for (const leaseId of welcome.dropped) this.#drop(leaseId);
    }
    for (const [leaseId, result] of this.#results) {
      const isDropped = welcome.dropped.includes(leaseId);
      if (isDropped && this.#has("keeps dropped results to itself")) continue;
      outbox.say(result);
    }
    if (this.#isDraining) outbox.say({ drain: {} });
  }

  #beat(nonce: bigint): void {
    if (this.#running.size === CAPACITY && this.#has("answers no probe while it is full")) return;
    const half = this.#has("answers probes with their lower half");
    const held = this.#has("lists only what runs") ? this.#running.keys() : this.#held();
    this.#outbox?.say({
      beat: { nonce: half ? BigInt.asUintN(32, nonce) : nonce, leases: [...held] },
    });
  }

  #take(assign: Assign): void {
    const { leaseId = "", taskId = "", runId = "" } = assign.lease ?? {};
    const isKnown = this.#running.has(leaseId) || this.#results.has(leaseId);
    const isFull = this.#running.size >= CAPACITY - 1;
    const isSilent =
      (isFull && this.#has("acks only while a slot is left")) ||
      (isKnown && this.#has("acks once what is assigned twice"));
    if (!isSilent) this.#outbox?.say({ acks: [leaseId] });
    if (isKnown && !this.#has("runs twice what is assigned twice")) return;
    this.#taken.add(leaseId);
    const task = `${runId} ${taskId}`;
    if (!this.#firstLease.has(task)) this.#firstLease.set(task, leaseId);
    if (this.#running.size > 0 && this.#has("runs one attempt at a time")) {
      this.#queue.push(assign);
      return;
    }
    this.#start(assign);
  }

  #start(assign: Assign): void {
    const { leaseId = "", taskId = "", runId = "" } = assign.lease ?? {};
    const attempt: Attempt = { abort: new AbortController(), signals: [], wake: () => {} };
    this.#running.set(leaseId, attempt);
    const isRaw = assign.inputData !== undefined && !this.#has("reads every input as a value");
    const input = jsonOf(assign.input, isRaw ? assign.inputData : undefined);
    if (!AGENTS.includes(assign.agent) && this.#has("ignores agents it does not have")) return;
    const admit = (signal: Signal) => this.#admit(leaseId, signal);
    void runTestAgent(assign.agent, input, attempt, admit).then((ended) => {
      const isOld = this.#running.get(leaseId) !== attempt;
      if (isOld && !this.#has("runs twice what is assigned twice")) return;
      const name = this.#has("names its old lease")
        ? (this.#firstLease.get(`${runId} ${taskId}`) ?? leaseId)
        : leaseId;
      this.#running.delete(leaseId);
      this.#end(leaseId, name, ended);
      const next = this.#queue.shift();
      if (next !== undefined) this.#start(next);
    });
  }

  #end(leaseId: string, name: string, ended: Awaited<ReturnType<typeof runTestAgent>>): void {
    const isCompleted =
      !("class" in ended) || (ended.class === 4 && this.#has("completes what is cancelled"));
    const result: Part = isCompleted
      ? this.#complete(name, "output" in ended ? ended.output : null)
      : {
          fails: [
            {
              leaseId: name,
              class: this.#has("loses the class of failures") ? 1 : ended.class,
              message: ended.message,
            },
          ],
        };
    if (!this.#has("forgets results as it sends them")) this.#results.set(leaseId, result);
    this.#outbox?.say(result);
    this.#leaveWhenIdle();
  }

  #complete(leaseId: string, output: JsonValue): Part {
    const value = output === null && this.#has("turns null into an object") ? {} : output;
    const data = new TextEncoder().encode(JSON.stringify(value));
    const limit = this.#welcome?.maxPayloadBytes ?? Number.POSITIVE_INFINITY;
    if (data.length > limit && !this.#has("sends outputs of any size")) {
      return { fails: [{ leaseId, class: 5, message: `${data.length} bytes of output` }] };
    }
    return { completes: [{ leaseId, outputData: { mediaType: "application/json", data } }] };
  }

  #signal(signal: Signal): void {
    const attempt = this.#running.get(signal.leaseId);
    if (attempt === undefined) return;
    const isKnown = attempt.signals.some(({ signalId }) => signalId === signal.signalId);
    if (isKnown && !this.#has("shows signals as often as they come")) return;
    if (this.#has("shows the latest signal first")) attempt.signals.unshift(signal);
    else attempt.signals.push(signal);
    attempt.wake();
  }

  #admit(leaseId: string, { signalId }: Signal): void {
    this.#outbox?.say({ signalAcks: [{ leaseId, signalId, receipt: SignalReceipt.ADMITTED }] });
  }

  #cancel(leaseId: string, reason: number): void {
    const result = this.#results.get(leaseId);
    if (result !== undefined && this.#has("reports again when it is cancelled too late")) {
      this.#outbox?.say(result);
    }
    if (this.#has("cancels everything at once")) {
      for (const { abort } of this.#running.values()) abort.abort();
    }
    if (reason > 15 && this.#has("ends attempts with unknown reasons by itself")) return;
    if (!this.#has("cancels nothing")) this.#attempt(leaseId)?.abort.abort();
  }

  #drop(leaseId: string): void {
    const attempt = this.#attempt(leaseId);
    if (this.#has("drops nothing") || attempt === undefined) return;
    this.#running.delete(leaseId);
    attempt.abort.abort();
  }

  #attempt(leaseId: string): Attempt | undefined {
    const attempt = this.#running.get(leaseId);
    const isKnown = attempt !== undefined || this.#taken.has(leaseId);
    if (!isKnown && this.#has("breaks on leases it does not know")) this.kill();
    return attempt;
  }
}
