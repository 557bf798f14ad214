/**
 * Runs that have ended: the most recent ones in memory, the rest read back from the journal when asked. Finished
 * states never change, so one copy serves every reader.
 */
import { fault, refuse } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import { runOutput } from "../core/run/binding.ts";
import type { RunState } from "../core/run/state.ts";
import type { Journal } from "../ports/journal.ts";
import type { EndedRun } from "./api.ts";
import type { Definitions } from "./definitions.ts";
import { replay } from "./replay.ts";

/** Most finished runs and most of their tasks kept in memory. */
const RUNS_KEPT_MAX = 256;
const TASKS_KEPT_MAX = 50_000;

export class FinishedRuns {
  readonly #journal: Pick<Journal, "load">;
  readonly #definitions: Definitions;
  readonly #kept = new Map<RunId, RunState>();
  #tasks = 0;

  constructor(journal: Pick<Journal, "load">, definitions: Definitions) {
    this.#journal = journal;
    this.#definitions = definitions;
  }

  /** Remembers a run whose last event is durable. */
  add(run: RunState): void {
    this.#kept.set(run.id, run);
    this.#tasks += run.tasks.length;
    if (this.#kept.size > RUNS_KEPT_MAX || this.#tasks > TASKS_KEPT_MAX) this.#forgetOldest(run);
  }

  #forgetOldest(newest: RunState): void {
    for (const [id, oldest] of this.#kept) {
      const isEnough = this.#kept.size <= RUNS_KEPT_MAX && this.#tasks <= TASKS_KEPT_MAX;
      if (isEnough || id === newest.id) return;
      this.#kept.delete(id);
      this.#tasks -= oldest.tasks.length;
    }
  }

  /** A finished run if it is in memory. */
  recent(runId: RunId): RunState | undefined {
    return this.#kept.get(runId);
  }

  /** Any finished run; rejects with `RUN_NOT_FOUND`. */
  async get(runId: RunId): Promise<RunState> {
    return (await this.find(runId)) ?? refuse(fault("RUN_NOT_FOUND", { runId }));
  }

  /** Any finished run that retention has not deleted. */
  async find(runId: RunId): Promise<RunState | undefined> {
    const kept = this.#kept.get(runId);
    if (kept !== undefined) return kept;
    const stored = await this.#journal.load(runId);
    return stored && replay(stored, this.#definitions);
  }
}

/** How a run ended, for whoever waited for it. */
export function endOf(run: RunState): EndedRun {
  const output = run.status === "COMPLETED" ? runOutput(run) : undefined;
  return {
    runId: run.id,
    status: run.status,
    reason: run.ending?.reason,
    message: run.ending?.message ?? "",
    output: output !== undefined && "value" in output ? output.value : undefined,
  };
}
