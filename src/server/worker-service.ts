/**
 * Both surfaces of the worker protocol: the session stream and the unary poll. They translate and hand over; every rule
 * of the protocol is behind the door and the desk they are given.
 */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type {
  PollTasksResponse,
  ReportTaskRequest,
  ReportTaskResponse,
  WorkerService,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import {
  GoAwaySchema,
  PollTasksResponseSchema,
  ReportTaskResponseSchema,
  ShownMemorySchema,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { fault, refuse } from "../base/fault.ts";
import type { Millis } from "../base/time.ts";
import type { Directives, WorkerDesk } from "../ports/worker.ts";
import {
  readChoice,
  readHello,
  type WireChoice,
  writeAssign,
  writeCancel,
  writeSignal,
  writeVerdict,
} from "./wire-worker.ts";
import { hearWork, serveWorker, type WorkerStreamDeps } from "./worker-stream.ts";

const POLL_WAIT_MS: Millis = 20_000;

const NO_WORKER = fault("ARGUMENT_INVALID", {
  field: "worker",
  value: "absent",
  expected: "who polls",
});

/** Entries of an answer, unless the question says. */
const RECALL_LIMIT = 5;

/** A report says nothing of the form it wants its signals in. */
const PLAIN: WireChoice = { rawValues: false, runInput: false, capabilities: [] };

export interface WorkerServiceDeps extends WorkerStreamDeps {
  readonly desk: WorkerDesk;
}

/** Handlers of `goclaw.v1.WorkerService`. */
export function workerService(deps: WorkerServiceDeps): ServiceImpl<typeof WorkerService> {
  const { desk, host } = deps;
  return {
    openSession: (messages, { signal }) => serveWorker(messages, signal, deps),
    async pollTasks({ worker, maxTasks, waitMs }, { signal }) {
      if (worker === undefined) return refuse(NO_WORKER);
      const choice = readChoice(worker);
      const wish = { tasks: maxTasks || 1, waitMs: waitMs ?? POLL_WAIT_MS };
      const found = await desk.poll(readHello(worker, "poll"), wish, signal);
      return pollResponse(found, choice, host.now());
    },
    reportTask: (request) => report(request, deps),
    async recallMemory({ instanceId, leaseId, text, limit, filter }) {
      const wish = { text, limit: limit || RECALL_LIMIT, filter };
      const { memories, note } = await deps.door.recall(instanceId, leaseId, wish);
      return { memories: memories.map((one) => create(ShownMemorySchema, one)), note };
    },
    async drainWorker({ instanceId, leaving }) {
      const visit = desk.visit(instanceId);
      visit.session.drain(leaving);
      const held = deps.door.workers().find(({ instance }) => instance === instanceId);
      return { leases: [...(held?.leases ?? [])] };
    },
  };
}

async function report(
  request: ReportTaskRequest,
  { desk, host, log }: WorkerServiceDeps,
): Promise<ReportTaskResponse> {
  const visit = desk.visit(request.instanceId);
  for (const lease of request.leases) visit.session.ack(lease);
  const ends = new Set([...request.completes, ...request.fails].map(({ leaseId }) => leaseId));
  const judged = [...ends].map((lease) => visit.judged(lease));
  hearWork(visit.session, request, log);
  const verdicts = await Promise.all(judged);
  const { signals, cancels, drops } = pollResponse(visit.take(false), PLAIN, host.now());
  return create(ReportTaskResponseSchema, {
    verdicts: verdicts.map(({ lease, outcome, message }) => writeVerdict(lease, outcome, message)),
    signals,
    cancels,
    drops,
  });
}

function pollResponse(found: Directives, choice: WireChoice, now: Millis): PollTasksResponse {
  const response = create(PollTasksResponseSchema, {
    assigns: found.assigns.map(({ assignment, version }) =>
      writeAssign(assignment, version, choice, now),
    ),
    signals: found.signals.map(({ lease, signal }) => writeSignal(lease, signal, choice)),
    cancels: found.cancels.map(({ lease, reason, graceMs }) => writeCancel(lease, reason, graceMs)),
    drops: [...found.drops],
  });
  if (found.goAway !== undefined) response.goAway = create(GoAwaySchema, found.goAway);
  return response;
}
