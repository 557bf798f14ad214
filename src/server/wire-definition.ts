/**
 * A definition as the spec a client could have sent for it, every default filled in. Sent back, it gives the same
 * definition; a test holds it to that.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { WorkflowSpec } from "../../gen/goclaw/v1/workflow_pb.ts";
import {
  CompensateSpecSchema,
  MemoryPolicySchema,
  RetrySpecSchema,
  TaskMemorySchema,
  TaskSpecSchema,
  WorkflowSpecSchema,
} from "../../gen/goclaw/v1/workflow_pb.ts";
import { unreachable } from "../base/assert.ts";
import type { Json } from "../base/payload.ts";
import { formatDuration, type Millis } from "../base/time.ts";
import type {
  Compensation,
  Definition,
  OnError,
  RetryPolicy,
  TaskDefinition,
  TaskMemory,
} from "../core/dag/definition.ts";
import { wireValue } from "./wire-payload.ts";
import { fill } from "./wire-words.ts";

/** The spec of a definition. */
export function definitionSpec(definition: Definition): WorkflowSpec {
  const { name, version, tasks, failFast, memory, output } = definition;
  const spec = create(WorkflowSpecSchema, { name, version, failFast, tasks: tasks.map(taskSpec) });
  return fill(spec, {
    output: output === undefined ? undefined : wireValue(output),
    memory: memory === undefined ? undefined : create(MemoryPolicySchema, memory),
  });
}

function taskSpec(task: TaskDefinition): MessageInitShape<typeof TaskSpecSchema> {
  const { id, agent, deps, lane, priority, cost, labels } = task;
  const spec = create(TaskSpecSchema, { id, agent, deps: [...deps], lane, priority, cost });
  return fill(spec, {
    labels: { ...labels },
    input: task.input === undefined ? undefined : wireValue(task.input),
    when: task.when,
    forEach: task.forEach,
    timeout: durationText(task.timeoutMs),
    deadline: durationText(task.deadlineMs),
    heartbeatTimeout: durationText(task.heartbeatTimeoutMs),
    retry: retrySpec(task.retry),
    onError: wireValue(onErrorJson(task.onError)),
    compensate: task.compensate && compensateSpec(task.compensate),
    memory: task.memory && memorySpec(task.memory),
  });
}

function durationText(durationMs: Millis | undefined): string | undefined {
  return durationMs === undefined ? undefined : formatDuration(durationMs);
}

function retrySpec({ maxAttempts, backoffMs, maxBackoffMs, jitter }: RetryPolicy) {
  return create(RetrySpecSchema, {
    maxAttempts,
    backoff: formatDuration(backoffMs),
    maxBackoff: formatDuration(maxBackoffMs),
    jitter,
  });
}

function onErrorJson(onError: OnError): Json {
  switch (onError.kind) {
    case "fail":
    case "continue":
      return onError.kind;
    case "fallback":
      return { fallback: onError.taskId };
    default:
      return unreachable(onError);
  }
}

function compensateSpec({ agent, input }: Compensation) {
  const spec = create(CompensateSpecSchema, { agent });
  return fill(spec, { input: input === undefined ? undefined : wireValue(input) });
}

function memorySpec({ retrieve, memorize }: TaskMemory) {
  return create(TaskMemorySchema, {
    ...(retrieve && { retrieve: { ...retrieve, filter: { ...retrieve.filter } } }),
    ...(memorize && { memorize }),
  });
}
