/**
 * Talking to runs under way: cancel one, signal a task or a session. Every answer is given after the commit, and says
 * distinctly why there was nobody to take it: unknown, finished, full, idle.
 */
import { FaultError, fault, refuse } from "../base/fault.ts";
import type { RunId, TaskId } from "../base/ids.ts";
import type { Millis } from "../base/time.ts";
import { findTask, type RunState, STOP_GRACE_MS } from "../core/run/state.ts";
import type { LaneManager } from "../lanes/lane-manager.ts";
import type { Host } from "../ports/host.ts";
import type { SendSignal, SignalAnswer } from "./api.ts";
import type { FinishedRuns } from "./finished.ts";
import type { LimitGuard } from "./limits.ts";
import type { Shard } from "./shard.ts";

interface Deps {
  readonly host: Host;
  readonly lanes: LaneManager;
  readonly guard: LimitGuard;
  readonly shard: Shard;
  readonly finished: FinishedRuns;
}

export class RunControl {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  async cancelRun(runId: RunId, options: { reason: string; graceMs?: Millis }): Promise<void> {
    this.#deps.guard.checkDuration("grace", options.graceMs);
    const graceMs = options.graceMs ?? STOP_GRACE_MS;
    await this.#send(runId, { type: "cancel", reason: options.reason, graceMs }, () => undefined);
  }

  /** A command to a run that may have ended: the answer then is `RUN_TERMINAL`, or `RUN_NOT_FOUND`. */
  async #send<T>(
    runId: RunId,
    command: Parameters<Shard["send"]>[1],
    project: (run: RunState) => T,
  ): Promise<T> {
    try {
      return await this.#deps.shard.send(runId, command, project);
    } catch (error) {
      if (error instanceof FaultError) this.#deps.guard.countFault(error.fault);
      if (!(error instanceof FaultError) || error.fault.code !== "RUN_NOT_FOUND") throw error;
      const { status } = await this.#deps.finished.get(runId);
      return refuse(fault("RUN_TERMINAL", { runId, status }));
    }
  }

  async signal(request: SendSignal): Promise<readonly SignalAnswer[]> {
    this.#deps.guard.checkSignal(request.content);
    const signalId = request.signalId || this.#deps.host.newRunId();
    const { target, content } = request;
    if ("runId" in target) return [await this.#signalTask(target, signalId, content)];
    const { sessionId, namespace } = target;
    const answers: SignalAnswer[] = [];
    for (const task of await this.#runningTasksOf(sessionId, namespace)) {
      const answer = await this.#signalTask(task, signalId, content).catch(undefinedIfOver);
      if (answer !== undefined) answers.push(answer);
    }
    return answers.length > 0 ? answers : refuse(fault("SESSION_IDLE", { sessionId }));
  }

  async #signalTask(
    { runId, taskId }: { runId: RunId; taskId: TaskId },
    signalId: string,
    content: SendSignal["content"],
  ): Promise<SignalAnswer> {
    const { limits } = this.#deps.guard;
    const receipt = await this.#send(
      runId,
      { type: "signal", task: taskId, signal: signalId, content, limits },
      (run) =>
        findTask(run, taskId)?.mailbox?.find((e) => e.signal === signalId)?.receipt ?? "accepted",
    );
    return { signalId, runId, taskId, receipt };
  }

  #runningTasksOf(
    sessionId: string,
    namespace: string,
  ): Promise<{ runId: RunId; taskId: TaskId }[]> {
    const { lanes, shard } = this.#deps;
    return shard.within(() =>
      lanes
        .activeRuns(sessionId, namespace)
        .flatMap(
          (id) => shard.runs.awake(id)?.tasks.filter(({ status }) => status === "RUNNING") ?? [],
        )
        .map((task) => ({ runId: task.run.id, taskId: task.id })),
    );
  }
}

/** For tasks that were found running: one that has ended since is no error. */
function undefinedIfOver(error: unknown): undefined {
  const code = error instanceof FaultError ? error.fault.code : undefined;
  if (code !== "TASK_TERMINAL" && code !== "RUN_TERMINAL") throw error;
}
