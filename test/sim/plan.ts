/**
 * Everything that will go wrong in one simulation, and everything clients will want, as plain data: a list of happenings,
 * each at its tick and with a seed of its own, so that taking one away changes nothing about what the others do. A plan
 * is drawn from one number, or is a drawn one made thinner by the shrinker. It knows nothing about how a happening is
 * carried out.
 */
import { prng } from "../../src/base/hash.ts";
import { drawFaults, type Faults, HAPPENINGS, type HappeningKind } from "./faults.ts";

/** One thing that happens from outside, before the timers of its tick. */
export interface Happening {
  readonly tick: number;
  readonly kind: HappeningKind;
  /** For whatever chance decides about it. */
  readonly seed: number;
}

/** A whole simulation, before it begins. */
export interface Plan {
  readonly seed: number;
  /** Timers that fire before the faults stop. */
  readonly ticks: number;
  readonly faults: Faults;
  readonly happenings: readonly Happening[];
  /** Attempts whose agents behave although chance would have it otherwise: `mark/task/attempt`. */
  readonly tamed: ReadonlySet<string>;
}

/** A generator for one part of a simulation. */
export function partOf(seed: number, part: number): () => number {
  return prng(Math.imul(seed, 0x9e3779b1) + part);
}

/** Draws the plan of a seed; the same one for the same arguments, and a longer one begins like a shorter one. */
export function drawPlan(seed: number, ticks: number): Plan {
  const faults = drawFaults(seed);
  const random = partOf(seed, 1);
  const happenings: Happening[] = [];
  for (let tick = 1; tick <= ticks; tick++) {
    for (const kind of HAPPENINGS) {
      const isDue = random() < faults.chances[kind];
      if (isDue) happenings.push({ tick, kind, seed: Math.floor(random() * 0xffff_ffff) });
    }
  }
  return { seed, ticks, faults, happenings, tamed: new Set() };
}

/** A plan as JSON, to be kept. */
export function planText(plan: Plan): string {
  return `${JSON.stringify({ ...plan, tamed: [...plan.tamed] }, undefined, 1)}\n`;
}

/** The reverse of {@link planText}. */
export function readPlan(text: string): Plan {
  const { tamed, ...plan } = JSON.parse(text) as Omit<Plan, "tamed"> & { tamed: string[] };
  return { ...plan, tamed: new Set(tamed) };
}
