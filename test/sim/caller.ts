/**
 * How clients call the daemon: again and again until it answers, whether it is recovering, draining, overloaded or has
 * just died, and once more when the answer was lost on the way. A refusal that no fault explains is a complaint. It
 * knows nothing about what is called.
 */
import { FaultError } from "../../src/base/fault.ts";
import type { RunId } from "../../src/base/ids.ts";
import type { Draw } from "./definitions.ts";
import type { Faults } from "./faults.ts";
import type { Ledger } from "./ledger.ts";
import type { Oracles } from "./oracles.ts";
import { Crashed, type SimulatedProcess } from "./process.ts";
import type { Trace } from "./trace.ts";

/** What clients need of the world. */
export interface ClientsDeps {
  readonly faults: Faults;
  readonly ledger: Ledger;
  readonly oracles: Oracles;
  readonly trace: Trace;
  readonly process: () => SimulatedProcess;
  readonly sleep: (delayMs: number) => Promise<void>;
  readonly complain: (message: string) => void;
  readonly inject: (what: string) => void;
  /** Whether the faults have stopped. */
  readonly isCalm: () => boolean;
}

/** Refusals that pass by themselves. */
export const TRANSIENT = ["ENGINE_DRAINING", "ENGINE_OVERLOADED", "STORE_FAILED"];

/** A call and what may come of it. */
export interface Call<T> {
  readonly what: string;
  readonly draw: Draw;
  /** Refusals that are answers, besides those that pass. */
  readonly refusals: readonly string[];
  /** The run it is about, which retention may have deleted. */
  readonly runId?: RunId;
  readonly make: (process: SimulatedProcess) => Promise<T>;
}

export class Caller {
  readonly deps: ClientsDeps;
  /** Clients that wait for something, and what they do. */
  readonly doing = new Map<object, string>();

  constructor(deps: ClientsDeps) {
    this.deps = deps;
  }

  /** Lets a client go its way. */
  spawn(what: string, work: Promise<unknown>): void {
    const client = {};
    this.doing.set(client, what);
    work
      .catch((error: unknown) => {
        this.deps.complain(`client (${what}): ${error instanceof Error ? error.stack : error}`);
      })
      .finally(() => {
        this.doing.delete(client);
      });
  }

  /** Calls the daemon until it answers; undefined for a refusal that will not pass. */
  async call<T>(call: Call<T>): Promise<T | undefined> {
    const { faults, inject, isCalm, sleep } = this.deps;
    const { draw } = call;
    for (;;) {
      const process = this.deps.process();
      if (process.isReady) {
        try {
          const answer = await process.call(call.make(process));
          if (isCalm() || !draw.chance(faults.lostAnswer)) return answer;
          inject("lost answer");
        } catch (error) {
          if (!this.#willPass(call, error)) return undefined;
        }
      }
      await sleep(draw.upTo(100));
    }
  }

  /** Whether a call may be made again after this; throws when nothing explains it. */
  #willPass<T>({ what, refusals, runId }: Call<T>, error: unknown): boolean {
    const code = error instanceof FaultError ? error.fault.code : undefined;
    if (code === undefined && !(error instanceof Crashed)) throw error;
    this.deps.trace.note(`${what}: ${code ?? "crashed"}`);
    if (code === undefined || TRANSIENT.includes(code)) return true;
    if (refusals.includes(code)) return false;
    const record = runId && this.deps.ledger.runs.get(runId);
    const isGone = code === "RUN_NOT_FOUND" && record !== undefined && record.fate !== "kept";
    if (!isGone) throw error;
    return false;
  }
}
