/**
 * What a task sees: its input, the names of its templates and conditions, its output as others see it, and the output of
 * the run. All of it is computed from the state when asked and stored nowhere. Outputs stay JSON text wherever nobody
 * looks inside them.
 */
import {
  type Json,
  jsonPayload,
  NULL_PAYLOAD,
  type Payload,
  payloadText,
} from "../../base/payload.ts";
import type { Evaluated, Scope } from "../dag/expression.ts";
import type { PlanNode } from "../dag/plan.ts";
import type { RunState, TaskState } from "./state.ts";

/** Whether the task ended without the success its dependents hoped for. */
export function isUnsuccessful(task: TaskState): boolean {
  return task.status === "FAILED" || (task.status === "CANCELLED" && task.reason === "INTERRUPTED");
}

/** The state of a plan node in this run. */
export function taskOf(run: RunState, index: number): TaskState {
  return run.tasks[index] as TaskState;
}

/**
 * What dependents receive: the output, the instances' outputs as a list, the fallback's output when it stood in, and
 * `null` for a task that was skipped or failed with `continue`.
 */
export function outputOf(run: RunState, task: TaskState): Payload {
  if (task.status === "COMPLETED")
    return task.group ? groupOutput(run, task) : (task.output ?? NULL_PAYLOAD);
  const fallback = task.node.fallback;
  if (fallback !== undefined && task.item === undefined && isUnsuccessful(task)) {
    const stand = taskOf(run, fallback);
    if (stand.status === "COMPLETED") return stand.output ?? NULL_PAYLOAD;
  }
  return NULL_PAYLOAD;
}

function groupOutput(run: RunState, task: TaskState): Payload {
  const { first, count } = task.group as NonNullable<TaskState["group"]>;
  const parts: string[] = [];
  for (let at = first; at < first + count; at++) {
    parts.push(payloadText(outputOf(run, taskOf(run, at))));
  }
  return { json: `[${parts.join(",")}]` };
}

/** The input of the next attempt, or the problem of its mapping. */
export function inputOf(run: RunState, task: TaskState): Evaluated<Payload> {
  if (task.replacedInput !== undefined) return { value: task.replacedInput };
  const template = task.node.input;
  if (template === undefined) return { value: naturalInput(run, task, task.node) };
  const rendered = template.render(scopeOf(run, task));
  return "problem" in rendered ? rendered : { value: jsonPayload(rendered.value) };
}

/**
 * Without a mapping: an instance receives its item, a task without dependencies the run's input (a fallback what its
 * guarded task received), any other an object of outputs by dependency id.
 */
function naturalInput(run: RunState, task: TaskState, node: PlanNode): Payload {
  if (task.item !== undefined) return task.item;
  if (node.task.deps.length === 0) {
    return node.guards === undefined
      ? run.request.input
      : naturalInput(run, taskOf(run, node.guards), taskOf(run, node.guards).node);
  }
  const parts: string[] = [];
  for (const dep of node.deps) {
    if (dep === node.guards && !node.task.deps.includes(taskOf(run, dep).id)) continue;
    const source = taskOf(run, dep);
    parts.push(`${JSON.stringify(source.id)}:${payloadText(outputOf(run, source))}`);
  }
  return { json: `{${parts.join(",")}}` };
}

/** The names a task's templates and conditions may use. Values are parsed on first use and kept for this scope only. */
export function scopeOf(run: RunState, task: TaskState | undefined): Scope {
  const seen = new Map<string, Json>();
  return (name) => {
    const known = seen.get(name);
    if (known !== undefined) return known;
    const value = lookUp(run, task, name);
    if (value !== undefined) seen.set(name, value);
    return value;
  };
}

function lookUp(run: RunState, task: TaskState | undefined, name: string): Json | undefined {
  switch (name) {
    case "input":
      return parsed(run.request.input);
    case "item":
      return task?.item === undefined ? undefined : parsed(task.item);
    case "run":
      return runFacts(run);
    default: {
      const index = run.plan.indexOf.get(name);
      return index === undefined ? undefined : parsed(outputOf(run, taskOf(run, index)));
    }
  }
}

function runFacts(run: RunState): Json {
  return {
    id: run.id,
    workflow: run.plan.definition.name,
    version: run.plan.definition.version,
    namespace: run.request.namespace,
    session_id: run.request.sessionId ?? null,
    labels: run.request.labels,
  };
}

function parsed(payload: Payload): Json {
  return JSON.parse(payloadText(payload)) as Json;
}

/** The run's output: its `output` mapping, or the sinks' outputs by id. Of a completed run it is never a problem. */
export function runOutput(run: RunState): Evaluated<Payload> {
  const template = run.plan.output;
  if (template !== undefined) {
    const rendered = template.render(scopeOf(run, undefined));
    return "problem" in rendered ? rendered : { value: jsonPayload(rendered.value) };
  }
  let parts = "";
  for (const index of run.plan.sinks) {
    const task = taskOf(run, index);
    // Ids of tasks need no escapes.
    parts += `${parts === "" ? "" : ","}"${task.id}":${payloadText(outputOf(run, task))}`;
  }
  return { value: { json: `{${parts}}` } };
}
