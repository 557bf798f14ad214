/**
 * The seed's service: start a workflow and see its events, ask for a task, signal a task. It holds no state; dropping a
 * stream leaves the run alone, and the same idempotency key joins the run it started before.
 */
import { create } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { GoClawEngine } from "../../gen/goclaw/v1/engine_pb.ts";
import type { TaskEvent } from "../../gen/goclaw/v1/run_pb.ts";
import type { RunId } from "../base/ids.ts";
import type { EngineApi } from "../engine/api.ts";
import { readHeaders, type Submissions } from "./submission.ts";
import { laneView } from "./wire-admin.ts";
import { taskEvent } from "./wire-event.ts";
import { taskStatus } from "./wire-run.ts";
import { readRunId, readSignal } from "./wire-signal.ts";

export interface EngineServiceDeps {
  readonly engine: EngineApi;
  readonly submissions: Submissions;
}

/** Handlers of `goclaw.v1.GoClawEngine`. */
export function engineService({
  engine,
  submissions,
}: EngineServiceDeps): ServiceImpl<typeof GoClawEngine> {
  return {
    async *submitWorkflow(spec, context) {
      const request = submissions.ofSpec(spec, readHeaders(context.requestHeader));
      const { runId } = await engine.startRun(request);
      yield* follow(engine, runId, 0, context);
    },
    async getTaskStatus({ runId, taskId }) {
      const task = await engine.getTask(readRunId(runId), taskId);
      const late = await engine.lateResults(task.run.id);
      const lanes = laneView(engine.lanes());
      return taskStatus(task, { lanes, explain: (one) => engine.explain(one), late });
    },
    async signalTask(request) {
      await engine.signal(readSignal(request));
      return create(EmptySchema);
    },
  };
}

/** Events of a run after a sequence, to the end. Throws the reason when the client or the daemon leaves first. */
export async function* follow(
  engine: Pick<EngineApi, "watch">,
  runId: RunId,
  afterSequence: number,
  { signal }: Pick<HandlerContext, "signal">,
): AsyncIterable<TaskEvent> {
  for await (const item of engine.watch(runId, afterSequence, signal)) yield taskEvent(item);
  if (signal.aborted) throw signal.reason;
}
