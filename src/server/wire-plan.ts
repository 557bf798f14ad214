/**
 * A compiled plan as clients see it: layers, hot path and lane demand, all names. Nothing is decided here; the views
 * come from the core.
 */
import { create } from "@bufbuild/protobuf";
import type { PlanWorkflowResponse } from "../../gen/goclaw/v1/run_service_pb.ts";
import { PlanWorkflowResponseSchema } from "../../gen/goclaw/v1/run_service_pb.ts";
import { hotPath, laneDemand, layers } from "../core/dag/layers.ts";
import type { Plan } from "../core/dag/plan.ts";

/** A plan for people: what may run together, what takes longest, how many slots could be wanted. */
export function planResponse(plan: Plan): PlanWorkflowResponse {
  const hot = hotPath(plan);
  return create(PlanWorkflowResponseSchema, {
    workflow: plan.definition.name,
    definitionHash: plan.hash,
    layers: layers(plan).map((layer) => ({ taskIds: [...layer] })),
    hotPath: [...hot.ids],
    hotPathMs: hot.totalMs,
    laneDemand: Object.fromEntries(laneDemand(plan)),
    tasks: plan.nodes.length,
    edges: plan.nodes.reduce((sum, node) => sum + node.deps.length, 0),
  });
}
