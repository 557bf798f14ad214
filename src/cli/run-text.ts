/**
 * Runs, tasks, lanes, agents and definitions as the text that `get`, `list`, `lanes` and the others print. Pure
 * functions from API messages to lines; `--json` prints the messages themselves instead.
 */
import { toJson } from "@bufbuild/protobuf";
import type { Timestamp, Value } from "@bufbuild/protobuf/wkt";
import { timestampDate, timestampMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Agent, Definition, Lane } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { LaneKind } from "../../gen/goclaw/v1/admin_service_pb.ts";
import type { RunInfo, RunSummary, TaskStatus } from "../../gen/goclaw/v1/run_pb.ts";
import { RunState, SignalKind, SignalReceipt, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import type { Data } from "../../gen/goclaw/v1/workflow_pb.ts";
import type { Instant } from "../base/time.ts";
import type { Cell, Paint } from "./layout.ts";
import { briefDuration, printable, table } from "./layout.ts";
import { lookOf, reasonText, runTone, wordOf } from "./look.ts";
import { instant, isTerminalRun } from "./run-model.ts";

/** When and how text is printed. */
export interface Style {
  readonly now: Instant;
  readonly paint: Paint;
}

/** A value as indented JSON; bytes that are not JSON by their type and size. */
export function payloadLines(value: Value | undefined, data: Data | undefined): readonly string[] {
  if (value !== undefined) return JSON.stringify(toJson(ValueSchema, value), null, 2).split("\n");
  if (data === undefined) return [];
  if (data.mediaType !== "application/json") {
    return [`${data.data.byteLength} bytes of ${printable(data.mediaType)}`];
  }
  const text = new TextDecoder().decode(data.data);
  return JSON.stringify(JSON.parse(text), null, 2).split("\n");
}

/** Lines of `goclaw get RUN`. */
export function runText(run: RunInfo, { now, paint }: Style): readonly string[] {
  const started = instant(run.started);
  const ended = instant(run.ended);
  const facts: (readonly [string, string])[] = [
    ["workflow", `${run.workflow}${run.version === "" ? "" : ` ${run.version}`}`],
    ["state", `${wordOf(RunState, run.state)}  ${reasonText(run)}`.trim()],
    ["failed task", run.failedTask],
    ["namespace", run.namespace === "default" ? "" : run.namespace],
    ["session", run.sessionId],
    ["labels", labelText(run.labels)],
    ["accepted", timeText(run.accepted, now)],
    ["took", started > 0 ? briefDuration((ended > 0 ? ended : now) - started) : ""],
    ["sequence", String(run.sequence)],
    ["trace", run.traceId],
  ];
  return [
    paint("strong", run.runId),
    ...factLines(facts, paint),
    ...(run.tasks.length === 0 ? [] : ["", ...taskTable(run.tasks, { now, paint })]),
    ...section("output", payloadLines(run.output, run.outputData), paint),
  ];
}

/** Lines of `goclaw get RUN TASK`. */
export function taskText(task: TaskStatus, { now, paint }: Style): readonly string[] {
  const signals = task.signals.map(
    ({ signalId, kind, receipt }) =>
      `${signalId} (${wordOf(SignalKind, kind)}, ${wordOf(SignalReceipt, receipt)})`,
  );
  const facts: (readonly [string, string])[] = [
    ["agent", task.agent],
    ["state", `${wordOf(TaskState, task.state)}  ${reasonText(task)}`.trim()],
    ["waits for", task.waitingFor],
    ["attempt", task.attempt > 0 ? String(task.attempt) : ""],
    ["lane", task.lane],
    ["worker", task.worker],
    ["after", task.deps.join(", ")],
    ["instances", task.instances > 0 ? String(task.instances) : ""],
    ["since", timeText(task.since, now)],
    ["due", timeText(task.due, now)],
    ["progress", task.percent > 0 ? `${Math.floor(task.percent)}%  ${task.note}` : task.note],
    ["signals", signals.join(", ")],
  ];
  return [
    paint("strong", `${task.runId} ${task.taskId}`),
    ...factLines(facts, paint),
    ...section("output", payloadLines(task.output, task.outputData), paint),
    ...task.lateResults.flatMap(({ lease, worker, time, output, outputData }) =>
      section(
        printable(`late output of lease ${lease}, worker ${worker}, ${timeText(time, now)}`),
        payloadLines(output, outputData),
        paint,
      ),
    ),
  ];
}

function factLines(facts: readonly (readonly [string, string])[], paint: Paint): readonly string[] {
  return facts
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${paint("faint", name.padEnd(12))}${printable(value)}`);
}

function section(title: string, lines: readonly string[], paint: Paint): readonly string[] {
  return lines.length === 0 ? [] : ["", paint("faint", title), ...lines];
}

function taskTable(tasks: readonly TaskStatus[], { now, paint }: Style): readonly string[] {
  const rows = tasks.map((task): Cell[] => {
    const look = lookOf(task.state);
    return [
      { text: `${look.symbol} ${task.taskId}`, tone: look.tone },
      task.agent,
      look.word,
      task.attempt > 0 ? String(task.attempt) : "",
      task.lane,
      age(task.since, now),
      reasonText(task) || task.waitingFor || task.note,
    ];
  });
  const columns = [
    { title: "TASK" },
    { title: "AGENT" },
    { title: "STATE" },
    { title: "ATTEMPT", align: "right" as const },
    { title: "LANE" },
    { title: "SINCE", align: "right" as const },
    { title: "" },
  ];
  return table(columns, rows, paint);
}

/** Lines of `goclaw list`. */
export function runTable(runs: readonly RunSummary[], { now, paint }: Style): readonly string[] {
  const rows = runs.map((run): Cell[] => {
    const accepted = instant(run.accepted);
    const ended = instant(run.ended);
    const end = isTerminalRun(run.state) ? ended : now;
    return [
      run.runId,
      run.workflow,
      { text: wordOf(RunState, run.state), tone: runTone(run.state) },
      age(run.accepted, now),
      end > 0 && accepted > 0 ? briefDuration(end - accepted) : "",
      run.sessionId,
      labelText(run.labels),
    ];
  });
  const columns = [
    { title: "RUN" },
    { title: "WORKFLOW" },
    { title: "STATE" },
    { title: "AGE", align: "right" as const },
    { title: "TOOK", align: "right" as const },
    { title: "SESSION" },
    { title: "LABELS" },
  ];
  return table(columns, rows, paint);
}

/** Lines of `goclaw lanes`. */
export function laneTable(lanes: readonly Lane[], { now, paint }: Style): readonly string[] {
  const rows = lanes.map((lane): Cell[] => [
    lane.name,
    wordOf(LaneKind, lane.kind),
    `${lane.occupied}/${lane.concurrency}`,
    lane.kind === LaneKind.NAMED ? `${lane.queued}/${lane.capacity}` : String(lane.queued),
    String(lane.blocked),
    age(lane.oldestSince, now),
    lane.kind === LaneKind.NAMED ? lane.overflow : "",
    lane.rate,
    lane.paused ? { text: "paused", tone: "warn" } : opening(lane, now),
  ]);
  const columns = [
    { title: "LANE" },
    { title: "KIND" },
    { title: "SLOTS", align: "right" as const },
    { title: "QUEUED", align: "right" as const },
    { title: "BLOCKED", align: "right" as const },
    { title: "OLDEST", align: "right" as const },
    { title: "WHEN FULL" },
    { title: "RATE" },
    { title: "" },
  ];
  return table(columns, rows, paint);
}

function opening(lane: Lane, now: Instant): string {
  const opensAt = instant(lane.opensAt);
  return opensAt > now ? `opens in ${briefDuration(opensAt - now)}` : "";
}

/** Lines of `goclaw agents`. */
export function agentTable(agents: readonly Agent[], paint: Paint): readonly string[] {
  const rows = agents.map((agent): Cell[] => [
    agent.name,
    agent.version,
    agent.transport,
    agent.cost > 0 ? String(agent.cost) : "",
    agent.timeout,
    agent.expectedMs === undefined ? "" : briefDuration(agent.expectedMs),
    agent.source,
  ]);
  const columns = [
    { title: "AGENT" },
    { title: "VERSION" },
    { title: "TRANSPORT" },
    { title: "COST", align: "right" as const },
    { title: "TIMEOUT", align: "right" as const },
    { title: "MEDIAN", align: "right" as const },
    { title: "SOURCE" },
  ];
  return table(columns, rows, paint);
}

/** Lines of `goclaw definitions`. */
export function definitionTable(
  definitions: readonly Definition[],
  { now, paint }: Style,
): readonly string[] {
  const rows = definitions.map((definition): Cell[] => [
    definition.name,
    definition.version,
    definition.namespace,
    age(definition.registered, now),
    definition.hash.slice(0, 12),
  ]);
  const columns = [
    { title: "NAME" },
    { title: "VERSION" },
    { title: "NAMESPACE" },
    { title: "AGE", align: "right" as const },
    { title: "HASH" },
  ];
  return table(columns, rows, paint);
}

function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}

function age(time: Timestamp | undefined, now: Instant): string {
  const at = instant(time);
  return at === 0 ? "" : briefDuration(now - at);
}

/** `2026-03-01T10:00:00.000Z (5m12s ago)`. */
function timeText(time: Timestamp | undefined, now: Instant): string {
  if (time === undefined) return "";
  const at = timestampMs(time);
  const iso = timestampDate(time).toISOString();
  const distance = briefDuration(Math.abs(now - at));
  return `${iso} (${at > now ? `in ${distance}` : `${distance} ago`})`;
}
