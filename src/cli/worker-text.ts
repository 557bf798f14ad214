/**
 * Workers for people: one line each, with what tells whether it works. Which agents they serve is in the table of agents
 * above it; here only their number and names, as far as they fit.
 */
import type { Worker } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { WorkerState } from "../../gen/goclaw/v1/admin_service_pb.ts";
import type { Instant } from "../base/time.ts";
import { briefDuration, type Cell, type Paint, table } from "./layout.ts";
import { wordOf } from "./look.ts";
import { instant } from "./run-model.ts";

/** Agents named in a line; the rest is counted. */
const NAMED_MAX = 3;

/** Lines below the agents, an empty one first; none without workers. */
export function workerTable(
  workers: readonly Worker[],
  { now, paint }: { readonly now: Instant; readonly paint: Paint },
): readonly string[] {
  if (workers.length === 0) return [];
  const rows = workers.map((worker): Cell[] => [
    worker.instanceId,
    worker.name === worker.instanceId ? "" : worker.name,
    wordOf(WorkerState, worker.state),
    worker.surface,
    String(worker.inFlight),
    slotsText(worker),
    briefDuration(Math.max(0, now - instant(worker.lastAnswer))),
    labelsText(worker.labels),
    agentsText(worker),
  ]);
  const columns = [
    { title: "WORKER" },
    { title: "NAME" },
    { title: "STATE" },
    { title: "BY" },
    { title: "ATTEMPTS", align: "right" as const },
    { title: "SLOTS" },
    { title: "ANSWERED", align: "right" as const },
    { title: "LABELS" },
    { title: "AGENTS" },
  ];
  return ["", ...table(columns, rows, paint)];
}

/** `3/8`, or `default 3/8, gpu 0/1` with several classes. */
function slotsText({ capacity, taken }: Worker): string {
  const classes = Object.keys(capacity);
  return classes
    .map(
      (name) => `${classes.length > 1 ? `${name} ` : ""}${taken[name] ?? 0}/${capacity[name] ?? 0}`,
    )
    .join(", ");
}

function labelsText(labels: Worker["labels"]): string {
  return Object.entries(labels)
    .map(([label, value]) => `${label}=${value}`)
    .join(" ");
}

function agentsText({ agents }: Worker): string {
  const named = agents.slice(0, NAMED_MAX).map(({ name, version }) => `${name}@${version}`);
  const rest = agents.length - named.length;
  return rest > 0 ? `${named.join(", ")} and ${rest} more` : named.join(", ");
}
