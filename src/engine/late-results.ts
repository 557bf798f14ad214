/**
 * Ends that come when their lease is no longer held: repeated ones, and those of attempts that were given up. An output
 * among them is kept beside its task, because its tokens were paid for; it changes no state, so it is no event, and the
 * run may long have ended. What a worker claims is believed only as far as the journal knows of such a lease.
 */
import { FaultError } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { Payload } from "../base/payload.ts";
import { findTask, type RunState, type TaskState } from "../core/run/state.ts";
import type { Host } from "../ports/host.ts";
import type { Journal } from "../ports/journal.ts";
import type { Logger } from "../ports/telemetry.ts";
import type { LateReport, VerdictOutcome, WorkerListener } from "../ports/worker.ts";
import type { FinishedRuns } from "./finished.ts";
import { copyRun } from "./run-copy.ts";
import type { Shard } from "./shard.ts";

interface Deps {
  readonly host: Pick<Host, "now">;
  readonly journal: Pick<Journal, "storeLate" | "lateResults">;
  readonly log: Logger;
  readonly shard: Shard;
  readonly finished: FinishedRuns;
}

interface Judgement {
  readonly outcome: VerdictOutcome;
  readonly message: string;
}

const REFUSED: Judgement = {
  outcome: "REFUSED",
  message: "no such lease was given to this worker",
};
const FENCED: Judgement = { outcome: "FENCED", message: "" };
const DUPLICATE: Judgement = { outcome: "DUPLICATE", message: "" };
const LATE_STORED: Judgement = { outcome: "LATE_STORED", message: "" };

export class LateResults {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Calls back when the answer is durable; never, when the store has failed. */
  judge(report: LateReport, settled: Parameters<WorkerListener["late"]>[1]): void {
    this.#judge(report).then(
      ({ outcome, message }) => settled(outcome, message),
      (error: unknown) => {
        const { lease } = report;
        this.#deps.log.error({ lease, error: String(error) }, "a late result was not judged");
      },
    );
  }

  async #judge(report: LateReport): Promise<Judgement> {
    const named = readLease(report.lease);
    const run = named && (await this.#runOf(named.runId));
    const task = run && findTask(run, named.taskId);
    if (named === undefined || task === undefined || named.lease > task.fence) return REFUSED;
    const isLatest = named.lease === task.fence;
    if (isLatest && task.worker !== report.worker) return REFUSED;
    if (isLatest && task.status === "COMPLETED") return DUPLICATE;
    if (report.output === undefined) return FENCED;
    return this.#store(task, named.lease, report.worker, report.output);
  }

  async #store(
    { run, id: taskId, index: taskIndex }: TaskState,
    lease: number,
    worker: string,
    output: Payload,
  ): Promise<Judgement> {
    const { journal, host } = this.#deps;
    const stored = await journal.lateResults(run.id);
    const isKnown = stored.some((late) => late.taskIndex === taskIndex && late.lease === lease);
    if (isKnown) return DUPLICATE;
    const at = host.now();
    await journal.storeLate({ runId: run.id, taskId, taskIndex, lease, worker, at, output });
    return LATE_STORED;
  }

  async #runOf(runId: RunId): Promise<RunState | undefined> {
    const { shard, finished } = this.#deps;
    const live = finished.recent(runId) ?? (await shard.read(runId, copyRun));
    if (live !== undefined) return live;
    return finished.get(runId).catch((error: unknown) => {
      if (error instanceof FaultError && error.fault.code === "RUN_NOT_FOUND") return undefined;
      throw error;
    });
  }
}

const LEASE_ID = /^([0-9A-HJKMNP-TV-Z]{26})\/([^/]{1,160})\/([1-9]\d{0,9})$/;

/** Takes a lease id apart; task ids hold no slash. */
function readLease(id: string): { runId: RunId; taskId: string; lease: number } | undefined {
  const [, runId, taskId, lease] = LEASE_ID.exec(id) ?? [];
  if (runId === undefined || taskId === undefined) return undefined;
  return { runId: runId as RunId, taskId, lease: Number(lease) };
}
