/**
 * The leases that workers hold, from the assignment to the verdict. Each ends exactly once towards the runtime: by what
 * its worker reports, by a stop whose grace is over, or because nobody runs it any more. An end that its worker reports
 * keeps the lease (and its slots) until the engine has said durably what became of it; that is the verdict.
 */
import type { Millis } from "../base/time.ts";
import type {
  Assignment,
  AttemptOutcome,
  AttemptQuestion,
  DeliveredSignal,
  RecallAnswer,
  StopRequest,
} from "../ports/agent.ts";
import type { Host } from "../ports/host.ts";
import type { VerdictOutcome, WorkerListener } from "../ports/worker.ts";
import type { WorkerInstance, WorkerLease } from "./worker-instance.ts";
import type { Seat } from "./worker-routing.ts";

interface Deps {
  readonly host: Pick<Host, "now" | "setTimer">;
  readonly listener: () => WorkerListener;
  /** Its slots are free. */
  readonly onEnd: (lease: WorkerLease) => void;
}

/** Longer than the engine waits for the memory; what has no answer then belongs to an attempt that is over. */
const RECALL_MS: Millis = 10_000;
const NOT_HELD: RecallAnswer = { memories: [], note: "the worker does not hold this lease" };
const OVER: RecallAnswer = { memories: [], note: "the attempt is over" };

export class WorkerLeases {
  readonly #deps: Deps;
  readonly #byId = new Map<string, WorkerLease>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** What leases report to. */
  get listener(): WorkerListener {
    return this.#deps.listener();
  }

  /** A new lease; its slots have been taken. */
  give({ instance, agent }: Seat, { key, signals }: Assignment): WorkerLease {
    const now = this.#deps.host.now();
    const lease: WorkerLease = {
      id: key,
      instance,
      agent: agent.name,
      slotClass: agent.slotClass,
      cost: agent.slotCost,
      phase: "OFFERED",
      offeredAt: now,
      renewedAt: now,
      isAdopted: false,
      signals: [...signals],
      stop: undefined,
    };
    this.#byId.set(key, lease);
    instance.leases.set(key, lease);
    return lease;
  }

  /** An attempt for which there is no worker after all. */
  refuse(key: string): void {
    this.listener.finish(key, { kind: "returned" });
  }

  /** A lease of this instance that has not ended. */
  of(instance: WorkerInstance, id: string): WorkerLease | undefined {
    const lease = instance.leases.get(id);
    return lease?.phase === "REPORTED" ? undefined : lease;
  }

  /** Its worker has it. */
  renew(lease: WorkerLease): void {
    lease.renewedAt = this.#deps.host.now();
    if (lease.phase !== "OFFERED") return;
    lease.phase = "HELD";
    lease.instance.offered.delete(lease);
  }

  signal(id: string, signal: DeliveredSignal): void {
    const lease = this.#byId.get(id);
    if (lease === undefined || lease.phase === "REPORTED") return;
    lease.signals.push(signal);
    if (lease.instance.takesSignals) lease.instance.link?.signal(id, signal);
  }

  /** A question to the memory from a lease that should be the instance's. */
  recall(
    instance: WorkerInstance | undefined,
    id: string,
    wish: AttemptQuestion,
  ): Promise<RecallAnswer> {
    if (instance === undefined || this.of(instance, id) === undefined)
      return Promise.resolve(NOT_HELD);
    return new Promise((resolve) => {
      const timer = this.#deps.host.setTimer(RECALL_MS, () => resolve(OVER));
      this.listener.recall(id, wish, (answer) => {
        timer.cancel();
        resolve(answer);
      });
    });
  }

  /** Tells the worker to stop; after the grace the lease is taken away. Of several stops the earliest end counts. */
  stop(id: string, { reason, graceMs }: StopRequest): void {
    const lease = this.#byId.get(id);
    if (lease === undefined || lease.phase === "REPORTED") return;
    lease.instance.link?.cancel(id, reason, graceMs);
    const dueAt = this.#deps.host.now() + graceMs;
    if (lease.stop !== undefined && lease.stop.dueAt <= dueAt) return;
    lease.stop?.timer.cancel();
    const timer = this.#deps.host.setTimer(graceMs, () => this.#take(lease, { kind: "stopped" }));
    lease.stop = { timer, dueAt, reason };
  }

  /** Takes the lease from a worker that does not run it (any more); one that was never taken up just goes back. */
  lose(lease: WorkerLease, why: string): void {
    if (lease.phase === "REPORTED") return;
    if (lease.phase === "OFFERED") return this.#take(lease, { kind: "returned" });
    const message = lease.isAdopted
      ? `the daemon restarted while worker "${lease.instance.id}" ran the attempt, and ${why}`
      : `worker "${lease.instance.name}": ${why}`;
    const counted = !lease.isAdopted;
    this.#take(lease, { kind: "lost", reason: "WORKER_LOST", message, counted });
  }

  /** It could not be sent: input, checkpoint and signals together are more than a message holds. */
  oversize(lease: WorkerLease): void {
    const message =
      "input, checkpoint and signals together are too large for a message to a worker";
    this.#take(lease, { kind: "failure", failure: "invalid", message });
  }

  /** The instance leaves and said so: no attempt is at fault. */
  giveUp(instance: WorkerInstance): void {
    const message = `worker "${instance.name}" left`;
    for (const lease of [...instance.leases.values()]) {
      if (lease.phase === "OFFERED") this.#take(lease, { kind: "returned" });
      else if (lease.phase === "HELD") {
        this.#take(lease, { kind: "lost", reason: "WORKER_LOST", message, counted: false });
      }
    }
  }

  /**
   * The end of an attempt as an instance tells it. It gets one verdict, once that is durable; `refusal` says why it is not
   * what the worker meant.
   */
  report(instance: WorkerInstance, id: string, outcome: AttemptOutcome, refusal?: string): void {
    const before = instance.verdictOn(id);
    if (before !== undefined) {
      return this.#judge(instance, id, before === "REFUSED" ? before : "DUPLICATE", "");
    }
    const lease = this.#byId.get(id);
    if (lease === undefined && refusal !== undefined) {
      return this.#judge(instance, id, "REFUSED", refusal);
    }
    if (lease === undefined) return this.#late(instance, id, outcome);
    if (lease.instance !== instance) {
      return this.#judge(instance, id, "REFUSED", "another worker holds this lease");
    }
    if (lease.phase === "REPORTED") return;
    this.#end(lease);
    this.listener.finish(id, outcome, (isCommitted) => {
      this.#remove(lease);
      if (refusal !== undefined) this.#judge(instance, id, "REFUSED", refusal);
      else if (isCommitted) this.#judge(instance, id, "COMMITTED", "");
      else this.#late(instance, id, outcome);
    });
  }

  /** Takes a lease away, whatever its worker does. */
  #take(lease: WorkerLease, outcome: AttemptOutcome): void {
    if (lease.phase === "REPORTED") return;
    this.#end(lease);
    this.#remove(lease);
    lease.instance.link?.drop(lease.id);
    this.listener.finish(lease.id, outcome);
  }

  #end(lease: WorkerLease): void {
    lease.phase = "REPORTED";
    lease.stop?.timer.cancel();
    lease.instance.offered.delete(lease);
  }

  #remove(lease: WorkerLease): void {
    this.#byId.delete(lease.id);
    lease.instance.leases.delete(lease.id);
    this.#deps.onEnd(lease);
  }

  #late(instance: WorkerInstance, id: string, outcome: AttemptOutcome): void {
    const output = outcome.kind === "success" ? outcome.output : undefined;
    this.listener.late({ lease: id, worker: instance.id, output }, (verdict, message) =>
      this.#judge(instance, id, verdict, message),
    );
  }

  #judge(instance: WorkerInstance, id: string, outcome: VerdictOutcome, message: string): void {
    instance.remember(id, outcome);
    instance.link?.verdict(id, outcome, message);
  }
}
