/**
 * From a failing plan to a short one. Whatever the same oracle still complains without is taken away: happenings after
 * the violation, then halves, quarters and single ones of the rest (the idea of Zeller's delta debugging), misbehaving
 * agents, and limits that are smaller than they need be, until nothing can go. It decides nothing about what is wrong.
 */
import type { Defect } from "./defects.ts";
import type { Faults } from "./faults.ts";
import type { Plan } from "./plan.ts";
import { type Summary, World } from "./world.ts";

/** A plan that still fails, and how it was found. */
export interface Shrunk {
  readonly plan: Plan;
  readonly summary: Summary;
  /** Simulations it took. */
  readonly simulations: number;
}

/** Harmless values, tried one after the other in place of what was drawn. */
const HARMLESS: readonly ((faults: Faults) => Partial<Faults>)[] = [
  () => ({ lostAnswer: 0 }),
  () => ({ missingAgents: 0 }),
  () => ({ skewMs: 0 }),
  () => ({ timerLateMs: 0 }),
  () => ({ syncMs: 0 }),
  () => ({ watchBufferBytes: 65_536 }),
  () => ({ retention: {} }),
  () => ({ awakeMost: 8_192 }),
  ({ bus }) => ({ bus: { ...bus, isConfigured: false } }),
  ({ engine }) => ({ engine: { ...engine, batchMax: 2_000 } }),
  ({ engine }) => ({ engine: { ...engine, inFlightMax: 2 } }),
  ({ engine }) => ({ engine: { ...engine, snapshotEvery: 2_000 } }),
  ({ engine }) => ({ engine: { ...engine, trimsHistory: false } }),
];

/** Simulations before it is content with what it has. */
const SIMULATIONS = 600;

/** What a complaint is about, without the names and numbers that differ from run to run. */
export function oracleOf(message: string): string {
  return message
    .split("\n", 1)
    .join()
    .replace(/; runs: .*/, "")
    .replace(/[0-9A-HJKMNP-TV-Z]{26}/g, "RUN")
    .replace(/\bt\d+(\[\d+\])?/g, "TASK")
    .replace(/\d+(\.\d+)?/g, "N")
    .slice(0, 80);
}

/** Shrinks a plan that fails, in so many simulations at most; undefined when it does not fail. */
export async function shrink(
  plan: Plan,
  defect?: Defect,
  simulations = SIMULATIONS,
): Promise<Shrunk | undefined> {
  const first = await new World(plan, defect).run();
  if (first.violation === undefined) return undefined;
  const shrinker = new Shrinker({ plan, summary: first, simulations }, defect);
  await shrinker.run();
  return shrinker.best;
}

class Shrinker {
  readonly #oracle: string;
  readonly #defect: Defect | undefined;
  readonly #simulationsMax: number;
  #best: Omit<Shrunk, "simulations">;
  #simulations = 1;

  constructor({ plan, summary, simulations }: Shrunk, defect: Defect | undefined) {
    this.#best = { plan, summary };
    this.#defect = defect;
    this.#simulationsMax = simulations;
    this.#oracle = oracleOf(summary.violation?.message ?? "");
  }

  get best(): Shrunk {
    return { ...this.#best, simulations: this.#simulations };
  }

  async run(): Promise<void> {
    const { plan, summary } = this.#best;
    const lastTick = Math.min(plan.ticks, summary.violation?.tick ?? plan.ticks);
    const happenings = plan.happenings.filter(({ tick }) => tick <= lastTick);
    await this.#fails({ ...plan, ticks: lastTick, happenings });
    for (let before = -1; before !== this.#size; ) {
      before = this.#size;
      await this.#thin(
        () => this.#best.plan.happenings,
        (kept) => ({ happenings: kept }),
      );
      await this.#thin(
        () => this.#best.summary.misbehaved,
        (kept) => ({ tamed: this.#tamedBut(kept) }),
      );
      for (const harmless of HARMLESS) {
        const { faults } = this.#best.plan;
        await this.#fails({ ...this.#best.plan, faults: { ...faults, ...harmless(faults) } });
      }
    }
  }

  get #size(): number {
    const { plan, summary } = this.#best;
    return plan.happenings.length + summary.misbehaved.length;
  }

  #tamedBut(wild: readonly string[]): ReadonlySet<string> {
    const { plan, summary } = this.#best;
    return new Set([...plan.tamed, ...summary.misbehaved.filter((name) => !wild.includes(name))]);
  }

  /** Takes away as much of a list as it can: big pieces first, then smaller ones. */
  async #thin<T>(list: () => readonly T[], change: (kept: readonly T[]) => Partial<Plan>) {
    for (let size = list().length; size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < list().length; ) {
        const kept = [...list().slice(0, at), ...list().slice(at + size)];
        if (!(await this.#fails({ ...this.#best.plan, ...change(kept) }))) at += size;
      }
    }
  }

  /** Whether a plan still fails in the same way; it is the best one then. */
  async #fails(plan: Plan): Promise<boolean> {
    if (this.#simulations >= this.#simulationsMax) return false;
    this.#simulations++;
    const summary = await new World(plan, this.#defect).run();
    const fails = oracleOf(summary.violation?.message ?? "") === this.#oracle;
    if (fails) this.#best = { plan, summary };
    return fails;
  }
}

/** What a shrunk plan comes to, for people. */
export function describeShrunk({ plan, summary, simulations }: Shrunk, from: Plan): string[] {
  return [
    `shrunk in ${simulations} simulations: ${from.happenings.length} happenings are ${plan.happenings.length}, ` +
      `misbehaving attempts: ${summary.misbehaved.length}, steps: ${summary.steps}`,
    JSON.stringify(plan.faults),
    ...plan.happenings.map(({ tick, kind, seed }) => `  tick ${tick}: ${kind} (${seed})`),
    ...summary.misbehaved.map((attempt) => `  misbehaves: ${attempt}`),
    ...summary.tail.map((line) => `  ${line}`),
    `tick ${summary.violation?.tick}: ${summary.violation?.message}`,
  ];
}
