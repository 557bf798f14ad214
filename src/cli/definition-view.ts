/**
 * A definition as people look at it before it runs: what `goclaw plan` and `goclaw validate` print, as text, JSON or
 * mermaid. Reading and compiling happen elsewhere ({@link LocalDefinitions}); everything here is pure.
 */
import type { Violation } from "../base/fault.ts";
import type { Json } from "../base/payload.ts";
import type { Millis } from "../base/time.ts";
import type { Paint } from "./layout.ts";
import { briefDuration, counted, table } from "./layout.ts";

/** One task of a plan. */
export interface PlannedTask {
  readonly id: string;
  readonly agent: string;
  readonly lane: string;
  readonly deps: readonly string[];
  readonly when?: string | undefined;
  readonly forEach?: string | undefined;
  /** The task that takes over when this one fails. */
  readonly fallback?: string | undefined;
}

/** A compiled definition, flattened for printing. */
export interface PlanView {
  readonly workflow: string;
  readonly version: string;
  readonly hash: string;
  readonly tasks: readonly PlannedTask[];
  /** Task ids by Kahn layer. */
  readonly layers: readonly (readonly string[])[];
  readonly hotPath: readonly string[];
  /** Expected duration along the hot path; one unit per task where nothing is known. */
  readonly hotPathMs: Millis;
  readonly laneDemand: Readonly<Record<string, number>>;
}

/** A definition file that is right: the value to send and its plan. */
export interface ReadDefinition {
  /** The file as JSON, the form of `WorkflowSpec`. */
  readonly spec: Json;
  readonly plan: PlanView;
}

/** Reads definition files without an engine. */
export interface LocalDefinitions {
  /** Checks `text`; agents and lanes are not looked up, because those belong to a daemon. */
  read(
    fileName: string,
    text: string,
  ): ReadDefinition | { readonly violations: readonly Violation[] };
  /** Compiler-like lines: `file:line:column field: problem. remedy`. */
  format(fileName: string, violations: readonly Violation[]): string;
}

/** Lines of `goclaw plan`. */
export function planText(plan: PlanView, paint: Paint): readonly string[] {
  const layerOf = new Map(plan.layers.flatMap((ids, at) => ids.map((id) => [id, at + 1] as const)));
  const hot = new Set(plan.hotPath);
  const edges = plan.tasks.reduce((sum, task) => sum + task.deps.length, 0);
  const version = plan.version === "" ? "" : ` ${plan.version}`;
  const demand = Object.entries(plan.laneDemand).map(([lane, tasks]) => `${lane} ${tasks}`);
  const byId = new Map(plan.tasks.map((task) => [task.id, task] as const));
  const rows = plan.layers.flat().map((id) => {
    const task = byId.get(id);
    return [
      String(layerOf.get(id)),
      { text: id, tone: hot.has(id) ? ("strong" as const) : ("plain" as const) },
      task?.agent ?? "",
      task?.lane ?? "",
      notes(task),
    ];
  });
  return [
    `${paint("strong", plan.workflow + version)}  ${paint("faint", plan.hash.slice(0, 12))}`,
    "",
    ...table(
      [
        { title: "LAYER", align: "right" },
        { title: "TASK" },
        { title: "AGENT" },
        { title: "LANE" },
        { title: "DEPENDS ON" },
      ],
      rows,
      paint,
    ),
    "",
    `${counted(plan.tasks.length, "task")}, ${counted(edges, "edge")}, ${counted(plan.layers.length, "layer")}`,
    `hot path  ${plan.hotPath.join(" → ")}${hotWeight(plan)}`,
    `most at once  ${demand.join(", ")}`,
  ];
}

/** Without known durations every task weighs one unit, and a duration would be a lie. */
function hotWeight(plan: PlanView): string {
  return plan.hotPathMs > plan.hotPath.length ? `  (${briefDuration(plan.hotPathMs)})` : "";
}

function notes(task: PlannedTask | undefined): string {
  if (task === undefined) return "";
  return [
    task.deps.join(", "),
    task.forEach === undefined ? "" : `for each ${task.forEach}`,
    task.when === undefined ? "" : `when ${task.when}`,
    task.fallback === undefined ? "" : `else ${task.fallback}`,
  ]
    .filter((note) => note !== "")
    .join("; ");
}

/** `goclaw plan --format json`: the fields of PlanWorkflowResponse and the tasks. */
export function planJson(plan: PlanView): Json {
  return {
    workflow: plan.workflow,
    version: plan.version,
    definitionHash: plan.hash,
    layers: plan.layers.map((taskIds) => ({ taskIds })),
    hotPath: plan.hotPath,
    hotPathMs: plan.hotPathMs,
    laneDemand: plan.laneDemand,
    tasks: plan.tasks.map((task) => JSON.parse(JSON.stringify(task)) as Json),
  };
}

/** `goclaw plan --format mermaid`: a flowchart, the hot path drawn thick. */
export function planMermaid(plan: PlanView): readonly string[] {
  const nodeOf = new Map(plan.tasks.map((task, at) => [task.id, `t${at}`] as const));
  const hot = new Set(plan.hotPath.slice(1).map((id, at) => `${plan.hotPath[at]} ${id}`));
  const lines = ["flowchart LR"];
  for (const task of plan.tasks) {
    const label = `${escapeMermaid(task.id)}<br/><small>${escapeMermaid(task.agent)} · ${escapeMermaid(task.lane)}</small>`;
    const node = nodeOf.get(task.id);
    lines.push(task.forEach === undefined ? `  ${node}["${label}"]` : `  ${node}[["${label}"]]`);
  }
  for (const task of plan.tasks) {
    for (const dep of task.deps) {
      const arrow = hot.has(`${dep} ${task.id}`) ? "==>" : "-->";
      lines.push(`  ${nodeOf.get(dep)} ${arrow} ${nodeOf.get(task.id)}`);
    }
    if (task.fallback !== undefined) {
      lines.push(`  ${nodeOf.get(task.id)} -. fails .-> ${nodeOf.get(task.fallback)}`);
    }
  }
  return lines;
}

function escapeMermaid(text: string): string {
  return text.replace(/["<>&#;]/g, (character) => `#${character.charCodeAt(0)};`);
}
