/**
 * The proof that lanes are a view of task states: occupancy and queue sizes, counted again from nothing but the runs.
 * A lease is a holder, a SCHEDULED task without one is queued; whatever the lanes say beyond that is divergence, and
 * the metric `goclaw_slots_diverged` must read 0. Linear in the number of tasks; call it between turns of the writer
 * loop, when every task that `poll` handed out has been answered for.
 */
import type { Ticket } from "../core/lane/ticket.ts";
import type { RunState } from "../core/run/state.ts";
import type { Lane } from "./lane.ts";
import { sessionKey } from "./sessions.ts";

/** What the lanes claim. */
interface Claims {
  readonly globalOccupied: number;
  readonly lanes: readonly Lane[];
  /** Tasks per session that hold a slot; `undefined` when sessions do not count tasks. */
  readonly sessionTasks: Iterable<readonly [string, number]> | undefined;
  /** The lane that the slot or place of a task or ticket belongs to. */
  readonly laneOf: (task: { readonly lane: string }) => string;
}

/** One figure that differs. */
export interface Divergence {
  /** `occupied:io`, `queued:io`, `occupied:global`, `session:default/s1`. */
  readonly figure: string;
  readonly claimed: number;
  readonly derived: number;
}

/** Result of an audit; `diverged` is the sum of all differences. */
export interface LaneAudit {
  readonly diverged: number;
  readonly divergences: readonly Divergence[];
}

/** Compares what the lanes claim with what the task states say. */
export function auditLanes(
  runs: Iterable<RunState>,
  asleep: Iterable<Ticket>,
  claims: Claims,
): LaneAudit {
  const derived = deriveFigures(runs, asleep, claims);
  const claimed = claimedFigures(claims);
  const divergences: Divergence[] = [];
  let diverged = 0;
  for (const figure of new Set([...claimed.keys(), ...derived.keys()])) {
    const claim = claimed.get(figure) ?? 0;
    const truth = derived.get(figure) ?? 0;
    if (claim === truth) continue;
    divergences.push({ figure, claimed: claim, derived: truth });
    diverged += Math.abs(claim - truth);
  }
  return { diverged, divergences };
}

function claimedFigures({ globalOccupied, lanes, sessionTasks }: Claims): Map<string, number> {
  const figures = new Map([["occupied:global", globalOccupied]]);
  for (const { name, gate, queued } of lanes) {
    figures.set(`occupied:${name}`, gate.occupied);
    figures.set(`queued:${name}`, queued);
  }
  for (const [key, tasks] of sessionTasks ?? []) figures.set(`session:${key}`, tasks);
  return figures;
}

function deriveFigures(
  runs: Iterable<RunState>,
  asleep: Iterable<Ticket>,
  claims: Claims,
): Map<string, number> {
  const figures = new Map<string, number>();
  const add = (figure: string, amount: number): void => {
    figures.set(figure, (figures.get(figure) ?? 0) + amount);
  };
  for (const run of runs) {
    const session = claims.sessionTasks === undefined ? undefined : sessionKey(run);
    for (const task of run.tasks) {
      if (task.lease !== 0) {
        const { cost } = task.node.task;
        add("occupied:global", cost);
        add(`occupied:${claims.laneOf(task)}`, cost);
        if (session !== undefined) add(`session:${session}`, 1);
      } else if (task.status === "SCHEDULED") {
        add(`queued:${claims.laneOf(task)}`, 1);
      }
    }
  }
  for (const ticket of asleep) {
    if (ticket.standing === "queued") add(`queued:${claims.laneOf(ticket)}`, 1);
  }
  return figures;
}
