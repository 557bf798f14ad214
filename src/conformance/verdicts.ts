/**
 * What a conformance case is, how one fails and how a report of many looks. A case names the rule of the worker protocol
 * it tests and says in one sentence what it demands; a failure says what was expected and what was seen instead. Reports
 * are TAP (version 14, line by line while the cases run) or one JSON document; nothing here knows workers or daemons.
 */
import type { Instant, Millis } from "../base/time.ts";

/** Time as the kits need it. */
export interface Clock {
  now(): Instant;
  setTimer(delayMs: Millis, run: () => void): { cancel(): void };
}

/** The rules of the worker protocol, by number; docs/workers.md explains each. */
export const RULES = {
  1: "credit",
  2: "ack",
  3: "probe",
  4: "lease",
  5: "grace",
  6: "verdict",
  7: "cancel",
  8: "signals",
  9: "idempotency",
  10: "versions",
  11: "limits",
  12: "drain",
  13: "one machine",
} as const;

export type RuleNumber = keyof typeof RULES;

/** One demand of the protocol, and the play that shows whether it is met. */
export interface Case<Stage> {
  readonly name: string;
  readonly rule: RuleNumber;
  /** What whoever is tested must do, as a sentence. */
  readonly demand: string;
  /** Resolves when the demand is met; throws {@link Unmet} or {@link NotApplicable}. */
  play(stage: Stage): Promise<void>;
}

/** A demand was not met. */
export class Unmet extends Error {
  override readonly name = "Unmet";
  readonly expected: string;
  readonly seen: string;

  constructor(expected: string, seen: string) {
    super(`expected ${expected}; seen: ${seen}`);
    this.expected = expected;
    this.seen = seen;
  }
}

/** The case does not concern what is tested, for example an optional capability that it does not offer. */
export class NotApplicable extends Error {
  override readonly name = "NotApplicable";
}

/** How a case went. */
export interface CaseResult {
  readonly name: string;
  readonly rule: RuleNumber;
  readonly demand: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly durationMs: Millis;
  /** Of a failed case. */
  readonly expected?: string;
  readonly seen?: string;
  /** Of a skipped case. */
  readonly reason?: string;
}

/** What is told while a kit plays. */
export interface KitListener {
  /** Once, when it is known what is played. */
  started(surface: string, count: number): void;
  /** After each case; `number` counts from 1. */
  played(number: number, result: CaseResult): void;
}

/** Throws {@link Unmet} unless `isMet`. */
export function demand(isMet: boolean, expected: string, seen: string): asserts isMet {
  if (!isMet) throw new Unmet(expected, seen);
}

/** Plays one case. Never rejects: whatever a play throws is a failure of its case. */
export async function playCase<Stage>(
  { name, rule, demand: says, play }: Case<Stage>,
  stage: Stage,
  clock: Clock,
): Promise<CaseResult> {
  const start = clock.now();
  const done = (result: Pick<CaseResult, "outcome" | "expected" | "seen" | "reason">) => ({
    name,
    rule,
    demand: says,
    ...result,
    durationMs: Math.round(clock.now() - start),
  });
  try {
    await play(stage);
    return done({ outcome: "passed" });
  } catch (error) {
    if (error instanceof NotApplicable) return done({ outcome: "skipped", reason: error.message });
    if (error instanceof Unmet) {
      return done({ outcome: "failed", expected: error.expected, seen: error.seen });
    }
    return done({ outcome: "failed", expected: "the play to go on", seen: String(error) });
  }
}

/** The cases named by `only`, in order; all when it is empty. Names that exist nowhere come back as `unknown`. */
export function chosenCases<Stage>(
  cases: readonly Case<Stage>[],
  only: readonly string[],
): { readonly chosen: readonly Case<Stage>[]; readonly unknown: readonly string[] } {
  const names = new Set(cases.map(({ name }) => name));
  return {
    chosen: only.length === 0 ? cases : cases.filter(({ name }) => only.includes(name)),
    unknown: only.filter((name) => !names.has(name)),
  };
}

/** The first lines of a TAP report of `count` cases. */
export function tapHead(count: number): string {
  return `TAP version 14\n1..${count}\n`;
}

/** The lines of one case; `number` counts from 1. */
export function tapCase(number: number, result: CaseResult): string {
  const { name, rule, outcome, demand: says, expected = "", seen = "", reason } = result;
  const head = `${number} - ${name} (rule ${rule}, ${RULES[rule]})`;
  if (outcome === "passed") return `ok ${head}\n`;
  if (outcome === "skipped") return `ok ${head} # SKIP ${reason}\n`;
  const facts = { rule: `${rule}, ${RULES[rule]}`, demand: says, expected, seen };
  // A JSON string is a YAML scalar.
  const lines = Object.entries(facts).map(([key, text]) => `  ${key}: ${JSON.stringify(text)}\n`);
  return `not ok ${head}\n  ---\n${lines.join("")}  ...\n`;
}

/** How many cases ended in which way. */
export function tally(results: readonly CaseResult[]): Record<CaseResult["outcome"], number> {
  const count = (outcome: CaseResult["outcome"]) =>
    results.filter((result) => result.outcome === outcome).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

/** The last line of a TAP report, a comment. */
export function tapFoot(results: readonly CaseResult[]): string {
  const { passed, failed, skipped } = tally(results);
  return `# ${passed} passed, ${failed} failed, ${skipped} skipped\n`;
}

/** The whole report as one line of JSON. */
export function jsonReport(
  tested: "worker" | "engine",
  surface: string,
  results: readonly CaseResult[],
): string {
  return `${JSON.stringify({ tested, surface, ...tally(results), cases: results })}\n`;
}
