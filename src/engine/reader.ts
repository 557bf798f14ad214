/**
 * Everything that reads runs: one, a page, a stream of events, results of several tasks. Reads of open runs go through
 * the writer loop and are answered after the commit they saw, so a client never sees a state that a crash could take
 * back; finished runs never change and are read from memory or the journal.
 */
import { FaultError, fault, refuse } from "../base/fault.ts";
import { nearestName, type RunId, type TaskId } from "../base/ids.ts";
import type { Payload } from "../base/payload.ts";
import { runOutput } from "../core/run/binding.ts";
import { isComplete, standingOf } from "../core/run/decide-signal.ts";
import { findTask, type RunState, type TaskState } from "../core/run/state.ts";
import { isTerminalRun, isTerminalTask } from "../core/run/status.ts";
import type { EventHub } from "../events/hub.ts";
import type { Host } from "../ports/host.ts";
import type { Journal } from "../ports/journal.ts";
import type { CollectAnswer, CollectRequest, RunPage, RunQuery, WatchItem } from "./api.ts";
import { summaryOf } from "./batch.ts";
import type { FinishedRuns } from "./finished.ts";
import { listRuns } from "./listing.ts";
import { copyRun } from "./run-copy.ts";
import type { Shard } from "./shard.ts";

interface Deps {
  readonly host: Host;
  readonly journal: Journal;
  readonly hub: EventHub;
  readonly shard: Shard;
  readonly finished: FinishedRuns;
}

export class Reader {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  async getRun(runId: RunId): Promise<RunState> {
    const recent = this.#deps.finished.recent(runId);
    if (recent !== undefined) return recent;
    return (await this.#deps.shard.read(runId, copyRun)) ?? this.#deps.finished.get(runId);
  }

  async getTask(runId: RunId, taskId: TaskId): Promise<TaskState> {
    const run = await this.getRun(runId);
    const task = findTask(run, taskId);
    if (task !== undefined) return task;
    const nearest = nearestName(taskId, run.plan.indexOf.keys());
    return refuse(fault("TASK_NOT_FOUND", { runId, taskId, nearest }));
  }

  async listRuns(query: RunQuery): Promise<RunPage> {
    const { shard, journal } = this.#deps;
    const { runs } = shard;
    return listRuns(query, journal, {
      ids: () => shard.within(() => [...runs.ids()]),
      summaries: (ids) =>
        shard.within(() => ids.flatMap((id) => runs.peek(id) ?? []).map(summaryOf)),
    });
  }

  async *watch(
    runId: RunId,
    afterSequence: number,
    abort?: AbortSignal,
  ): AsyncGenerator<WatchItem> {
    let after = afterSequence;
    const head = await this.#headOf(runId);
    try {
      for await (const item of this.#deps.hub.watch(runId, after, head, abort)) {
        after = item.sequence;
        yield item.event.type === "run_completed"
          ? { kind: "event", runId, ...item, ...(await this.#outputOf(runId)) }
          : { kind: "event", runId, ...item };
      }
    } catch (error) {
      if (!(error instanceof FaultError) || error.fault.code !== "CURSOR_EXPIRED") throw error;
      const run = await this.getRun(runId);
      yield { kind: "gap", runId, sequence: run.sequence, run };
      if (!isTerminalRun(run.status)) yield* this.watch(runId, run.sequence, abort);
    }
  }

  /** Where the run stands: a watcher of a finished run must not wait for more. */
  async #headOf(runId: RunId): Promise<() => { sequence: number; ended: boolean }> {
    const live = await this.#deps.shard.read(runId, (run) => run.sequence);
    const finished = live === undefined ? await this.#deps.finished.get(runId) : undefined;
    return () => {
      const ended = finished ?? this.#deps.finished.recent(runId);
      return { sequence: ended?.sequence ?? live ?? 0, ended: ended !== undefined };
    };
  }

  async #outputOf(runId: RunId): Promise<{ runOutput?: Payload }> {
    const output = runOutput(await this.#deps.finished.get(runId));
    return "value" in output ? { runOutput: output.value } : {};
  }

  async collect(request: CollectRequest, abort?: AbortSignal): Promise<CollectAnswer> {
    const first = await this.getRun(request.runId);
    for (const id of request.tasks) {
      if (findTask(first, id) !== undefined || id.includes("[")) continue;
      const nearest = nearestName(id, first.plan.indexOf.keys());
      refuse(fault("TASK_NOT_FOUND", { runId: request.runId, taskId: id, nearest }));
    }
    const stop = new AbortController();
    const giveUp = (): void => stop.abort();
    abort?.addEventListener("abort", giveUp);
    if (abort?.aborted) giveUp();
    const timer =
      request.deadlineMs === undefined
        ? undefined
        : this.#deps.host.setTimer(request.deadlineMs, giveUp);
    try {
      if (!isCollected(first, request)) await this.#waitForCollect(request, first.sequence, stop);
    } finally {
      timer?.cancel();
      abort?.removeEventListener("abort", giveUp);
    }
    return collectAnswer(await this.getRun(request.runId), request);
  }

  async #waitForCollect(
    request: CollectRequest,
    after: number,
    stop: AbortController,
  ): Promise<void> {
    const asked = new Set(request.tasks);
    for await (const item of this.watch(request.runId, after, stop.signal)) {
      if (item.kind === "event" && (!("task" in item.event) || !asked.has(item.event.task ?? "")))
        continue;
      if (isCollected(await this.getRun(request.runId), request)) return;
    }
  }
}

function isCollected(run: RunState, { tasks, mode }: CollectRequest): boolean {
  return (
    isTerminalRun(run.status) ||
    isComplete(mode, tasks.length, standingOf(run, tasks).finished.length)
  );
}

function collectAnswer(run: RunState, { tasks, mode }: CollectRequest): CollectAnswer {
  const { finished, missing } = standingOf(run, tasks);
  return {
    finished: finished
      .flatMap((id) => findTask(run, id) ?? [])
      .filter((t) => isTerminalTask(t.status)),
    missing,
    complete: isComplete(mode, tasks.length, finished.length),
  };
}
