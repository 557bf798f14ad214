/**
 * Random definitions: chains, diamonds, fan-ins, lists, conditions, fallbacks, retries, limits of every kind, one to
 * forty tasks. Everything is written in the short form and goes through the real validator; a draft that it refuses is
 * drawn again, so the generator may be careless.
 */
import type { Prng } from "../../src/base/hash.ts";
import type { Json } from "../../src/base/payload.ts";
import type { Definition } from "../../src/core/dag/definition.ts";
import { readDefinition } from "../../src/core/dag/validate.ts";

/** Agents of the first transport, which is always there, and of the second, which is not. */
export const STEADY_AGENTS = ["fetch", "think", "write"];
export const FICKLE_AGENTS = ["review"];

const LANES = ["io", "cpu", "feed", "burst", "rated", "default"];

/** Draws with a seeded generator. */
export class Draw {
  readonly random: Prng;

  constructor(random: Prng) {
    this.random = random;
  }

  /** 0 … max. */
  upTo(max: number): number {
    return Math.floor(this.random() * (max + 1));
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  one<T>(options: readonly T[]): T {
    return options[Math.floor(this.random() * options.length)] as T;
  }
}

/** A definition that the validator accepts. */
export function drawDefinition(draw: Draw, name: string): Definition {
  for (;;) {
    const read = readDefinition(draftOf(draw, name));
    if ("definition" in read) return read.definition;
  }
}

type Draft = Record<string, Json>;

function draftOf(draw: Draw, name: string): Json {
  const count = 1 + (draw.chance(0.1) ? draw.upTo(39) : draw.upTo(7));
  const tasks: Draft[] = [];
  for (let at = 0; at < count; at++) tasks.push(taskOf(draw, at));
  if (draw.chance(0.2)) addFallback(draw, tasks);
  return {
    name,
    tasks,
    ...(draw.chance(0.2) ? { fail_fast: false } : {}),
    ...(draw.chance(0.2) ? { output: { first: "{{ t0.v }}", all: "{{ t0 }}" } } : {}),
  };
}

function taskOf(draw: Draw, at: number): Draft {
  const deps = depsOf(draw, at);
  const task: Draft = {
    id: `t${at}`,
    agent: draw.chance(0.15) ? draw.one(FICKLE_AGENTS) : draw.one(STEADY_AGENTS),
    lane: draw.one(LANES),
    deps,
    on_error: draw.chance(0.5) ? "continue" : "fail",
  };
  if (draw.chance(0.3)) {
    task.retry = {
      max_attempts: 1 + draw.upTo(4),
      backoff: `${draw.upTo(300)}ms`,
      max_backoff: "1s",
    };
  }
  if (draw.chance(0.3)) task.timeout = `${1 + draw.upTo(1_000)}ms`;
  if (draw.chance(0.15)) task.deadline = `${1 + draw.upTo(4_000)}ms`;
  if (draw.chance(0.15)) task.heartbeat_timeout = `${30 + draw.upTo(500)}ms`;
  if (draw.chance(0.2)) task.priority = draw.upTo(20) - 10;
  if (draw.chance(0.15)) task.cost = 1 + draw.upTo(3);
  const dep = deps[0];
  if (draw.chance(0.12)) task.when = dep ? `${dep} == null || ${dep}.v > 3` : "input.n > 3";
  if (draw.chance(0.12)) task.for_each = dep ? `${dep}.list` : "input.items";
  if (draw.chance(0.15)) task.input = dep ? { from: `{{ ${dep} }}` } : { n: "{{ input.n }}" };
  return task;
}

function depsOf(draw: Draw, at: number): string[] {
  if (at === 0 || draw.chance(0.25)) return [];
  const all = Array.from({ length: at }, (_, n) => `t${n}`);
  if (draw.chance(0.08)) return all;
  return [...new Set([draw.one(all), draw.one(all), draw.one(all)])].slice(0, 1 + draw.upTo(2));
}

function addFallback(draw: Draw, tasks: Draft[]): void {
  const guarded = draw.one(tasks);
  guarded.on_error = { fallback: "plan_b" };
  delete guarded.for_each;
  tasks.push({ id: "plan_b", agent: draw.one(STEADY_AGENTS), lane: draw.one(LANES) });
}
