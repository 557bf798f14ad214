/**
 * What a definition wishes of the memory, for one task of one run: the question before its attempts and what is
 * remembered after its success. Templates are rendered as they are for inputs, but a wish that cannot be rendered is a
 * note and never a failure: what a task has done is worth more than what is remembered of it.
 */
import { MEMORY_LIMITS } from "../../base/memory-limits.ts";
import { type Json, type Payload, payloadText } from "../../base/payload.ts";
import { utf8Length } from "../../base/utf8.ts";
import type { Evaluated, Scope } from "../dag/expression.ts";
import { memorySession } from "../memory/entry.ts";
import { scopeOf } from "./binding.ts";
import {
  type MemoryOutcome,
  type MemoryWrite,
  type Recall,
  type RecallWish,
  TASK_QUESTION,
} from "./recall.ts";
import type { RunState, TaskState } from "./state.ts";

/** The session in which a run remembers: its own, or one that is only this run's. */
export function memorySessionOf({ id, request }: RunState): string {
  return memorySession(request.namespace, request.sessionId ?? id);
}

/** Whether a task is shown memories before it starts. */
export function wishesMemories(run: RunState, { node }: TaskState): boolean {
  return node.task.memory?.retrieve !== undefined || latestWished(run) > 0;
}

/** How many of the session's latest entries each task of the run is shown. */
export function latestWished({ plan }: RunState): number {
  return plan.definition.memory?.retrieveLastN ?? 0;
}

/** What the definition asks; an empty text finds nothing, so that only the latest entries are shown. */
export function wishOf(run: RunState, task: TaskState): Evaluated<RecallWish> {
  const retrieve = task.node.task.memory?.retrieve;
  const template = task.node.vectorQuery;
  if (retrieve === undefined || template === undefined) return { value: { text: "", limit: 0 } };
  const rendered = template.render(scopeOf(run, task));
  if ("problem" in rendered) return { problem: `memory.retrieve: ${rendered.problem}` };
  const text = textOf(rendered.value).slice(0, MEMORY_LIMITS.questionChars);
  const { topK: limit, filter } = retrieve;
  return { value: { text, limit, ...(filter === undefined ? {} : { filter }) } };
}

/** An answer that a task got before. */
export function recallOf(task: TaskState, question: string): Recall | undefined {
  return task.recalls.find((recall) => recall.question === question);
}

/** What a task was shown because its definition asked. */
export function shownTo(task: TaskState): Recall | undefined {
  return recallOf(task, TASK_QUESTION);
}

/**
 * What the success of a task means for the memory: reviews of what it was shown, the entries its agent staged and the one
 * its definition asks for. Undefined when it means nothing, which is almost always.
 */
export function memoryOutcome(
  run: RunState,
  task: TaskState,
  output: Payload,
  staged: readonly MemoryWrite[] | undefined,
): MemoryOutcome | undefined {
  const { recalls, node } = task;
  if (recalls.length === 0 && staged === undefined && node.memorize === undefined) return undefined;
  const { write, note } = memorized(run, task, output);
  const used = new Set(recalls.flatMap(({ memories }) => memories.map(({ id }) => id)));
  const writes = [...(staged ?? []), ...write];
  if (used.size + writes.length === 0 && note === "") return undefined;
  const { forgetThreshold } = run.plan.definition.memory ?? {};
  return {
    session: memorySessionOf(run),
    agent: node.task.agent,
    ...(forgetThreshold === undefined ? {} : { forgetThreshold }),
    used: [...used],
    writes,
    note,
  };
}

interface Memorized {
  readonly write: readonly MemoryWrite[];
  readonly note: string;
}

const NOTHING: Memorized = { write: [], note: "" };

/** What the definition wants remembered; empty texts are not worth it. */
function memorized(run: RunState, task: TaskState, output: Payload): Memorized {
  const { memorize } = task.node;
  if (memorize === undefined) return NOTHING;
  const rendered = memorize.render(scopeWith(run, task, output));
  if ("problem" in rendered) return { write: [], note: `memory.memorize: ${rendered.problem}` };
  const content = textOf(rendered.value);
  if (content.trim() === "") return NOTHING;
  const bytes = utf8Length(content);
  if (bytes > MEMORY_LIMITS.writeBytes) {
    const note = `memory.memorize: ${bytes} bytes are too many, the limit is ${MEMORY_LIMITS.writeBytes}`;
    return { write: [], note };
  }
  const kind = task.node.task.memory?.memorize?.kind ?? "";
  return { write: [{ content, kind, metadata: {}, importance: "normal" }], note: "" };
}

/** The names of the task's templates and its own, which is its output. */
function scopeWith(run: RunState, task: TaskState, output: Payload): Scope {
  const scope = scopeOf(run, task);
  const own = task.node.task.id;
  return (name) => (name === own ? (JSON.parse(payloadText(output)) as Json) : scope(name));
}

function textOf(value: Json): string {
  if (value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
