/**
 * What a program and the engine say to each other: JSON lines on standard input, one value on standard output, and on
 * standard error either lines for the log or directives that begin with `::goclaw `. Simple enough for a shell script;
 * a program that knows nothing of it still works. Only texts are made and read here; docs/agents.md is the manual.
 */
import { payloadText, toBase64 } from "../../base/payload.ts";
import { type Millis, parseDuration } from "../../base/time.ts";
import type { Assignment, DeliveredSignal, RecallAnswer } from "../../ports/agent.ts";
import type { RecallOptions, RememberOptions } from "../../ports/agent-context.ts";

/** First line on standard input. Payloads are spliced in as the JSON text they already are. */
export function openingLine(assignment: Assignment): string {
  const { lastCheckpoint } = assignment;
  const facts = JSON.stringify({
    run_id: assignment.runId,
    task_id: assignment.taskId,
    attempt: assignment.attempt,
    workflow: assignment.workflow,
    namespace: assignment.namespace,
    session_id: assignment.sessionId ?? null,
    idempotency_key: assignment.idempotencyKey,
    trace_id: assignment.traceId,
    memories: assignment.memories,
    last_checkpoint: lastCheckpoint === undefined ? null : toBase64(lastCheckpoint),
  }).slice(1, -1);
  const input = payloadText(assignment.input);
  const runInput = payloadText(assignment.runInput);
  const signals = assignment.signals.map(signalText).join(",");
  return asLine(`{"input":${input},"run_input":${runInput},${facts},"signals":[${signals}]}`);
}

/** A later line on standard input. */
export function signalLine(signal: DeliveredSignal): string {
  return asLine(`{"signal":${signalText(signal)}}`);
}

/** The answer to a question of the program. */
export function recalledLine(id: string, { memories, note }: RecallAnswer): string {
  return asLine(JSON.stringify({ recalled: { id, memories, note } }));
}

/** JSON on one line, whatever a reader takes for a line end: Node's readline stops at U+2028 and U+2029 as well. */
function asLine(json: string): string {
  const line = json.replace(/[\r\n]/g, " ");
  return `${line.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")}\n`;
}

function signalText({ signal: id, content, collected }: DeliveredSignal): string {
  const facts = JSON.stringify({
    id,
    kind: content.kind,
    ...(content.kind === "steer" ? { text: content.text } : {}),
    ...(content.kind === "interrupt" ? { reason: content.reason } : {}),
    ...(collected === undefined ? {} : { missing: collected.missing }),
  }).slice(0, -1);
  const payload = content.kind === "steer" ? `,"payload":${payloadText(content.payload)}` : "";
  const results = collected === undefined ? "" : `,"results":${payloadText(collected.results)}`;
  return `${facts}${payload}${results}}`;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a line on standard error means. */
export type Directive =
  | { readonly kind: "progress"; readonly percent: number; readonly note: string }
  | { readonly kind: "checkpoint"; readonly base64: string }
  | { readonly kind: "heartbeat" }
  | { readonly kind: "output"; readonly text: string }
  | { readonly kind: "admitted"; readonly signal: string }
  | { readonly kind: "remember"; readonly text: unknown; readonly options: RememberOptions }
  | {
      readonly kind: "recall";
      readonly id: string;
      readonly text: unknown;
      readonly options: RecallOptions;
    }
  | { readonly kind: "retry-after"; readonly retryAfterMs: Millis }
  | { readonly kind: "log"; readonly level: LogLevel; readonly text: string }
  /** Meant as a directive, but not one. */
  | { readonly kind: "unknown"; readonly text: string };

const PREFIX = "::goclaw ";

/** Each word and how to read what follows it; undefined when that makes no sense. */
const DIRECTIVES: Readonly<Record<string, (rest: string) => Directive | undefined>> = {
  progress: (rest) => {
    const [, percent = "", note = ""] = /^(\d+(?:\.\d+)?)%?(?:\s+(.*))?$/.exec(rest) ?? [];
    return percent === "" ? undefined : { kind: "progress", percent: Number(percent), note };
  },
  checkpoint: (rest) =>
    /^[A-Za-z0-9+/]*={0,2}$/.test(rest) ? { kind: "checkpoint", base64: rest } : undefined,
  output: (text) => ({ kind: "output", text }),
  heartbeat: () => ({ kind: "heartbeat" }),
  admitted: (rest) => (rest === "" ? undefined : { kind: "admitted", signal: rest }),
  remember: (rest) => {
    const { text, ...options } = optionsOf<RememberOptions>(rest);
    return { kind: "remember", text, options };
  },
  recall: (rest) => {
    const { text, id = "", ...options } = optionsOf<RecallOptions>(rest);
    return { kind: "recall", id: String(id), text, options };
  },
  "retry-after": (rest) => {
    const retryAfterMs = parseDuration(rest);
    return retryAfterMs === undefined ? undefined : { kind: "retry-after", retryAfterMs };
  },
  debug: (text) => ({ kind: "log", level: "debug", text }),
  info: (text) => ({ kind: "log", level: "info", text }),
  warn: (text) => ({ kind: "log", level: "warn", text }),
  error: (text) => ({ kind: "log", level: "error", text }),
};

/** A plain text, or a JSON object with a `text` and more. */
function optionsOf<O>(rest: string): O & { readonly text?: unknown; readonly id?: unknown } {
  if (!rest.startsWith("{")) return { text: rest } as O & { readonly text: string };
  try {
    return JSON.parse(rest) as O & { readonly text?: unknown };
  } catch {
    return { text: rest } as O & { readonly text: string };
  }
}

/** Reads one line of standard error; an ordinary line is one for the log. */
export function readLine(line: string): Directive {
  if (!line.startsWith(PREFIX)) return { kind: "log", level: "info", text: line };
  const [, word = "", rest = ""] = /^(\S*)\s*(.*)$/.exec(line.slice(PREFIX.length).trim()) ?? [];
  const read = Object.hasOwn(DIRECTIVES, word) ? DIRECTIVES[word] : undefined;
  return read?.(rest) ?? { kind: "unknown", text: line };
}
