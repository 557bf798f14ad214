/**
 * Bit flips, truncations and lost files, thousands of them, one per copy of a small data directory. Whatever can still
 * be read must be exactly what a healthy journal would have answered at some point that the high-water mark allows;
 * everything else must be refused with a fault that says so. A hang or a death without a word counts as silence.
 */
import { type ChildProcess, fork } from "node:child_process";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DamagedEngine, legalAnswers, makeImage } from "./damage-image.ts";
import type { Trial, TrialResult } from "./damage-reader.ts";

export interface DamageOptions {
  readonly engine: DamagedEngine;
  readonly trials: number;
  readonly seed: number;
  /** The image is what a crash left, with the mark behind. */
  readonly isCrash: boolean;
}

export interface DamageReport {
  readonly engine: DamagedEngine;
  readonly isCrash: boolean;
  readonly trials: number;
  /** How trials went: `exact`, `prefix`, or the code of the fault. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** What went wrong, with the seed that repeats it. */
  readonly problems: readonly string[];
}

const READERS = 2;
const PATIENCE_MS = 30_000;
/** Refusals that say what is wrong; anything else would be a lie about the damage. */
const NAMED: ReadonlySet<string> = new Set(["DATA_LOSS", "STORE_FAILED", "STORE_FORMAT"]);

/** Damages copies of one image, one at a time in each of a few processes. */
export async function tortureByDamage(options: DamageOptions): Promise<DamageReport> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-damage-"));
  try {
    return await tortureIn(directory, options);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function tortureIn(directory: string, options: DamageOptions): Promise<DamageReport> {
  const { engine, trials, seed, isCrash } = options;
  const image = join(directory, "image");
  const made = join(directory, "made");
  await mkdir(made);
  await makeImage(made, engine, isCrash, () => cp(made, image, { recursive: true }));
  const legal = [...(await legalAnswers(isCrash))];
  const whole = legal.at(-1);
  const outcomes: Record<string, number> = {};
  const problems: string[] = [];
  let next = 0;
  const work = async (n: number): Promise<void> => {
    const reader = new Reader();
    while (next < trials) {
      const copy = join(directory, `copy-${n}`);
      const result = await reader.carryOut({ seed: seed + next++, engine, image, copy });
      const outcome = outcomeOf(result, whole, legal);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (outcome === "silent" && problems.length < 20) problems.push(describe(result));
    }
    reader.close();
  };
  await Promise.all(Array.from({ length: READERS }, (_, n) => work(n)));
  return { engine, isCrash, trials, outcomes, problems };
}

function outcomeOf(
  { answers, code }: TrialResult,
  whole: string | undefined,
  legal: readonly string[],
): string {
  if (code !== undefined) return NAMED.has(code) ? code : "silent";
  if (answers === undefined) return "silent";
  if (answers === whole) return "exact";
  return legal.includes(answers) ? "prefix" : "silent";
}

function describe({ seed, what, code, crash }: TrialResult): string {
  return `seed ${seed}: ${what}: ${crash ?? code ?? "something else was read"}`;
}

/** A reading process, replaced when it dies. */
class Reader {
  #child: ChildProcess | undefined;

  carryOut(trial: Trial): Promise<TrialResult> {
    const child =
      this.#child ??
      fork(join(import.meta.dirname, "damage-reader.ts"), {
        stdio: ["ignore", "ignore", "pipe", "ipc"],
      });
    this.#child = child;
    return new Promise((resolve) => {
      let stderr = "";
      const listen = (chunk: Buffer): void => {
        stderr += chunk.toString();
      };
      const finish = (result: TrialResult): void => {
        clearTimeout(timer);
        child.removeAllListeners("message").removeAllListeners("exit");
        child.stderr?.off("data", listen);
        resolve(result);
      };
      const died = (how: string): void => {
        this.#child = undefined;
        finish({
          seed: trial.seed,
          what: "(see the seed)",
          crash: `${how} ${stderr.slice(0, 500)}`,
        });
      };
      const timer = setTimeout(() => {
        child.removeAllListeners("exit");
        child.kill("SIGKILL");
        died("hung");
      }, PATIENCE_MS);
      child.stderr?.on("data", listen);
      child.once("exit", (code, signal) => died(`died of ${code ?? signal}`));
      child.once("message", (result) => finish(result as TrialResult));
      child.send(trial);
    });
  }

  close(): void {
    this.#child?.disconnect();
  }
}
