/**
 * Definition files without an engine: reads, checks and compiles them for `goclaw plan` and `goclaw validate`, and
 * before `goclaw run` and `goclaw submit` send anything. Agents and lanes are not looked up, because they belong to
 * whoever runs the definition.
 */
import { createHash } from "node:crypto";
import { readDefinitionText } from "../adapters/definition-file.ts";
import type { LocalDefinitions, PlannedTask, PlanView } from "../cli/definition-view.ts";
import { canonicalJson, compile } from "../core/dag/compile.ts";
import { hotPath, laneDemand, layers } from "../core/dag/layers.ts";
import type { Plan, PlanNode } from "../core/dag/plan.ts";
import { readDefinition } from "../core/dag/validate.ts";
import { formatViolations } from "../core/dag/violations.ts";

/** Reads definitions from text. */
export const localDefinitions: LocalDefinitions = {
  read(fileName, text) {
    const parsed = readDefinitionText(text, { fileName });
    if ("violations" in parsed) return parsed;
    const read = readDefinition(parsed.value, { position: parsed.position });
    if ("violations" in read) return read;
    const hash = createHash("sha256").update(canonicalJson(read.definition)).digest("hex");
    return { spec: parsed.value, plan: planView(compile(read.definition, { hash })) };
  },
  format: formatViolations,
};

function planView(plan: Plan): PlanView {
  const { definition, hash } = plan;
  const { ids, totalMs } = hotPath(plan);
  return {
    workflow: definition.name,
    version: definition.version,
    hash,
    tasks: plan.nodes.map(plannedTask),
    layers: layers(plan),
    hotPath: ids,
    hotPathMs: totalMs,
    laneDemand: Object.fromEntries(laneDemand(plan)),
  };
}

function plannedTask({ task }: PlanNode): PlannedTask {
  const { id, agent, lane, deps, when, forEach, onError } = task;
  return {
    id,
    agent,
    lane,
    deps,
    when,
    forEach,
    fallback: onError.kind === "fallback" ? onError.taskId : undefined,
  };
}
