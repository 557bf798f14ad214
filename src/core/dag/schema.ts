/**
 * Every field of a definition in one table: name, kind, limits, default and the manual's line. The reader checks files
 * and requests against it, and docs/definitions.md is held to it by a test. Names are lowerCamel here; snake_case is
 * accepted as well and is what the documentation uses. It mirrors `WorkflowSpec` in proto/goclaw/v1/workflow.proto.
 */
import { TIMER_MAX_MS } from "../../base/time.ts";
import { DEFAULTS, DEFINITION_LIMITS } from "./definition.ts";

interface Common {
  /** One line for the manual, without the final stop. */
  readonly doc: string;
  readonly required?: true;
}

/** What a field may hold. Fields without `required` and `default` may be absent. */
export type Field =
  /** Letters, digits, `_`, `.`, `-`. */
  | (Common & { readonly kind: "name"; readonly default?: string })
  /** The name of an agent, optionally with `@` and a version or range. */
  | (Common & { readonly kind: "agent" })
  | (Common & { readonly kind: "text"; readonly maxBytes: number; readonly default?: string })
  | (Common & {
      readonly kind: "integer";
      readonly min: number;
      readonly max: number;
      readonly default?: number;
    })
  | (Common & {
      readonly kind: "number";
      readonly min: number;
      readonly max: number;
      readonly default?: number;
    })
  | (Common & { readonly kind: "flag"; readonly default?: boolean })
  /** Text such as `1h30m`; read as milliseconds. */
  | (Common & { readonly kind: "duration"; readonly minMs: number; readonly default?: number })
  /** CEL source. */
  | (Common & { readonly kind: "expression" })
  /** Text that may hold templates. */
  | (Common & { readonly kind: "template" })
  /** Any JSON value; `templates` says whether its strings may hold templates. */
  | (Common & { readonly kind: "json"; readonly templates: boolean })
  | (Common & { readonly kind: "names"; readonly max: number })
  | (Common & { readonly kind: "labels" })
  | (Common & { readonly kind: "onError" })
  | (Common & { readonly kind: "group"; readonly fields: Fields })
  | (Common & {
      readonly kind: "groups";
      readonly min: number;
      readonly max: number;
      readonly fields: Fields;
    });

/** Fields of an object, by lowerCamel name, in the order of the manual. */
export interface Fields {
  readonly [name: string]: Field;
}

const PRIORITY = { kind: "integer", min: -100, max: 100, default: 0 } as const;

export const RETRY_FIELDS = {
  maxAttempts: {
    kind: "integer",
    min: 1,
    max: DEFINITION_LIMITS.attempts,
    default: DEFAULTS.retry.maxAttempts,
    doc: "Attempts in all, the first included",
  },
  backoff: {
    kind: "duration",
    minMs: 0,
    default: DEFAULTS.retry.backoffMs,
    doc: "Wait after the first failed attempt, doubled after each further one",
  },
  maxBackoff: {
    kind: "duration",
    minMs: 0,
    default: DEFAULTS.retry.maxBackoffMs,
    doc: "Longest wait; not less than `backoff`",
  },
  jitter: {
    kind: "number",
    min: 0,
    max: 1,
    default: DEFAULTS.retry.jitter,
    doc: "Share of the wait that is spread, so that failed tasks do not return together",
  },
} as const satisfies Fields;

export const TASK_MEMORY_FIELDS = {
  retrieve: {
    kind: "group",
    doc: "What to look up before the attempt",
    fields: {
      vectorQuery: { kind: "template", required: true, doc: "Text to search for" },
      topK: { kind: "integer", min: 1, max: 1_000, default: DEFAULTS.topK, doc: "Most results" },
      filter: { kind: "labels", doc: "Only memories with these labels" },
    },
  },
  memorize: {
    kind: "group",
    doc: "What to remember after success",
    fields: {
      content: {
        kind: "template",
        required: true,
        doc: "Text to remember; may read the task itself",
      },
      kind: { kind: "name", default: DEFAULTS.memoryKind, doc: "Sort of memory" },
    },
  },
} as const satisfies Fields;

export const TASK_FIELDS = {
  id: {
    kind: "name",
    required: true,
    doc: "Name of the task, unique in the definition; not `input`, `item`, `run` or `tasks`",
  },
  agent: { kind: "agent", required: true, doc: "Agent that does the work" },
  deps: { kind: "names", max: DEFINITION_LIMITS.deps, doc: "Tasks that must be done first" },
  lane: { kind: "name", default: DEFAULTS.lane, doc: "Lane whose slots it takes" },
  input: {
    kind: "json",
    templates: true,
    doc: "Replaces the natural input (see [Data](#data)); strings may hold templates",
  },
  when: { kind: "expression", doc: "Condition; the task is skipped when it is false" },
  forEach: {
    kind: "expression",
    doc: "List; the task runs once per item, which is `item` in templates",
  },
  timeout: { kind: "duration", minMs: 1, doc: "Longest attempt" },
  deadline: {
    kind: "duration",
    minMs: 1,
    doc: "Longest time from ready to done, over all attempts",
  },
  heartbeatTimeout: { kind: "duration", minMs: 1, doc: "An attempt silent for longer is lost" },
  retry: {
    kind: "group",
    fields: RETRY_FIELDS,
    doc: "When and how often a failed attempt is tried again",
  },
  priority: { ...PRIORITY, doc: "Higher goes first in its lane" },
  cost: { kind: "integer", min: 1, max: 1_000, default: 1, doc: "Slots it takes in its lanes" },
  onError: {
    kind: "onError",
    doc: "What its failure means for the run: `fail`, `continue`, or `fallback: TASK`",
  },
  compensate: {
    kind: "group",
    doc: "What undoes the task when the run is compensated (checked now, carried out by a later version)",
    fields: {
      agent: { kind: "agent", required: true, doc: "Agent that undoes the work" },
      input: { kind: "json", templates: true, doc: "Its input; may read the task itself" },
    },
  },
  memory: {
    kind: "group",
    fields: TASK_MEMORY_FIELDS,
    doc: "Memories shown to each attempt, and what is remembered of a success",
  },
  labels: { kind: "labels", doc: "Free labels" },
} as const satisfies Fields;

export const WORKFLOW_FIELDS = {
  name: { kind: "name", required: true, doc: "Name of the workflow" },
  version: { kind: "text", maxBytes: 128, default: "", doc: "Free text such as `1.4.0`" },
  tasks: {
    kind: "groups",
    min: 1,
    max: DEFINITION_LIMITS.tasks,
    required: true,
    fields: TASK_FIELDS,
    doc: "The tasks; their order does not matter",
  },
  output: {
    kind: "json",
    templates: true,
    doc: "The run's output, strings may hold templates; absent: the outputs of the tasks nobody depends on, by id",
  },
  failFast: {
    kind: "flag",
    default: DEFAULTS.failFast,
    doc: "After a failure running tasks are cancelled (`true`) or finish (`false`); no new ones start",
  },
  memory: {
    kind: "group",
    doc: "Memory of all tasks of a run",
    fields: {
      retrieveLastN: {
        kind: "integer",
        min: 0,
        max: 10_000,
        doc: "Latest memories offered to each task",
      },
      forgetThreshold: {
        kind: "number",
        min: 0,
        max: 1,
        doc: "Weaker memories are not shown, and those of this run are forgotten below it",
      },
    },
  },
} as const satisfies Fields;

/** What a file may say about the runs started from it; a submission's own values win. */
export const RUN_FIELDS = {
  input: { kind: "json", templates: false, doc: "The run's input" },
  sessionId: { kind: "text", maxBytes: 256, doc: "Runs of one session go one at a time, in order" },
  namespace: { kind: "name", doc: "Namespace of the run; `default` when nobody says otherwise" },
  priority: { kind: "integer", min: -100, max: 100, doc: "Added to each task's own priority" },
  deadline: { kind: "duration", minMs: 1, doc: "Longest time from acceptance to the end" },
  labels: { kind: "labels", doc: "Free labels of the run" },
} as const satisfies Fields;

/** Everything a file may hold at its top. */
export const DOCUMENT_FIELDS = { ...WORKFLOW_FIELDS, ...RUN_FIELDS } as const satisfies Fields;

/** Longest duration of any field. */
export const DURATION_MAX_MS = TIMER_MAX_MS;

/** Names that templates and conditions use for other things than tasks. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set(["input", "item", "run", "tasks"]);

/** The documented spelling of a field: `maxAttempts` → `max_attempts`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
