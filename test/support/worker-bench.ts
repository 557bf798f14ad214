/**
 * A pool of workers on virtual time, without an engine: links remember what they are told, the listener remembers what
 * the pool reports and answers ends when the test says so. Tasks are those of one run with as many tasks as wanted.
 */
import type { Millis } from "../../src/base/time.ts";
import type { Outcome } from "../../src/core/run/message.ts";
import type { TaskState } from "../../src/core/run/state.ts";
import type { Reason } from "../../src/core/run/status.ts";
import type { Assignment, DeliveredSignal } from "../../src/ports/agent.ts";
import type {
  LateReport,
  VerdictOutcome,
  WorkerHello,
  WorkerLink,
  WorkerListener,
  WorkerSession,
} from "../../src/ports/worker.ts";
import { WorkerPool } from "../../src/runtime/worker-pool.ts";
import { assignment, ListLog } from "./attempts.ts";
import { RunHarness } from "./run-harness.ts";
import { VirtualHost } from "./virtual-host.ts";

/** What a link was told, one text per call: `assign a/1`, `drop a/1`, `verdict a/1 COMMITTED`. */
export class ListLink implements WorkerLink {
  readonly told: string[] = [];
  /** The nonce of the last probe. */
  nonce = 0;
  isClosed = false;
  takesAssigns = true;

  assign({ key, attempt }: Assignment, version: string): boolean {
    this.told.push(`assign ${short(key)} attempt ${attempt} version ${version}`);
    return this.takesAssigns;
  }
  probe(nonce: number): void {
    this.nonce = nonce;
    this.told.push("probe");
  }
  signal(lease: string, { signal }: DeliveredSignal): void {
    this.told.push(`signal ${short(lease)} ${signal}`);
  }
  cancel(lease: string, reason: Reason, graceMs: Millis): void {
    this.told.push(`cancel ${short(lease)} ${reason} ${graceMs}`);
  }
  drop(lease: string): void {
    this.told.push(`drop ${short(lease)}`);
  }
  verdict(lease: string, outcome: VerdictOutcome): void {
    this.told.push(`verdict ${short(lease)} ${outcome}`);
  }
  goAway(): void {
    this.told.push("go away");
  }
  close(): void {
    this.isClosed = true;
  }
}

/** A lease id without its run. */
export function short(lease: string): string {
  return lease.slice(27);
}

/** What the engine hears of the pool. Ends are answered at once with `isCommitted`, unless `isSlow`. */
export class ListListener implements WorkerListener {
  readonly heard: string[] = [];
  readonly outcomes = new Map<string, Outcome>();
  isCommitted = true;
  isSlow = false;
  lateVerdict: VerdictOutcome = "LATE_STORED";
  readonly #unsettled: (() => void)[] = [];

  progress(key: string, percent: number, note: string): void {
    this.heard.push(`progress ${short(key)} ${percent} ${note}`);
  }
  checkpoint(key: string): void {
    this.heard.push(`checkpoint ${short(key)}`);
  }
  beat(key: string): void {
    this.heard.push(`beat ${short(key)}`);
  }
  log(): void {}
  receipt(key: string, signal: string, receipt: string): void {
    this.heard.push(`receipt ${short(key)} ${signal} ${receipt}`);
  }
  output(key: string): void {
    this.heard.push(`output ${short(key)}`);
  }
  recall(): void {}
  deeds(key: string, deeds: readonly { readonly name: string }[]): void {
    this.heard.push(`deeds ${short(key)} ${deeds.map(({ name }) => name).join()}`);
  }
  late(
    { lease, worker }: LateReport,
    settled: (outcome: VerdictOutcome, text: string) => void,
  ): void {
    this.heard.push(`late ${short(lease)} of ${worker}`);
    settled(this.lateVerdict, "");
  }
  finish(key: string, outcome: Outcome, settled?: (isCommitted: boolean) => void): void {
    this.heard.push(`finish ${short(key)} ${outcome.kind}`);
    this.outcomes.set(short(key), outcome);
    const { isCommitted } = this;
    if (this.isSlow) this.#unsettled.push(() => settled?.(isCommitted));
    else settled?.(isCommitted);
  }

  /** Answers the ends that wait. */
  settle(): void {
    for (const answer of this.#unsettled.splice(0)) answer();
  }
}

export interface Connected {
  readonly link: ListLink;
  readonly session: WorkerSession;
}

export class WorkerBench {
  readonly host = new VirtualHost();
  readonly log = new ListLog();
  readonly listener = new ListListener();
  readonly pool: WorkerPool;
  readonly local = new Set<string>();
  readonly harness: RunHarness;
  /** How often the pool said that room may have come back. */
  rooms = 0;
  changes = 0;

  constructor(tasks: readonly object[] = [{}]) {
    this.pool = new WorkerPool({}, { host: this.host, log: this.log });
    this.pool.attach({
      listener: this.listener,
      onChange: () => this.changes++,
      onRoom: () => this.rooms++,
      localSource: (agent) => (this.local.has(agent) ? "agents/local.mjs" : undefined),
      localNames: () => this.local,
    });
    const named = tasks.map((task, at) => ({ id: `t${at}`, agent: "summarize", ...task }));
    this.harness = new RunHarness({ name: "flow", tasks: named });
  }

  task(at = 0): TaskState {
    return this.harness.run.tasks[at] as TaskState;
  }

  connect(instance: string, rest: Partial<WorkerHello> = {}): Connected {
    const link = new ListLink();
    const hello: WorkerHello = {
      name: "",
      instance,
      surface: "session",
      labels: {},
      agents: [{ name: "summarize", version: "1.0.0", slotCost: 1, slotClass: "default" }],
      capacity: { default: 2 },
      takesSignals: true,
      ...rest,
    };
    return { link, session: this.pool.open(hello, link) };
  }

  /** Reserves and starts an attempt; returns its lease id, or what is missing. */
  start(at = 0, lease = 1, rest: Partial<Assignment> = {}): string {
    const task = this.task(at);
    const missing = this.pool.reserve(task);
    if (missing !== undefined) return missing;
    const worker = this.pool.workerOf(task) ?? "";
    const key = this.lease(at, lease);
    this.pool.start(
      assignment("summarize", null, {
        key,
        runId: task.run.id,
        taskId: task.id,
        attempt: 1,
        lease,
        worker,
        ...rest,
      }),
    );
    return key;
  }

  lease(at = 0, lease = 1): string {
    const { run, id } = this.task(at);
    return `${run.id}/${id}/${lease}`;
  }
}
