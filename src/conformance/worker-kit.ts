/**
 * `goclaw conformance worker`: plays all cases of a worker's surface against a program, one after another, and says how
 * each went. It decides the order and what a failure costs (the program is started anew); what is right and wrong is
 * decided by the cases.
 */
import { CONNECTION_CASES } from "./connection-cases.ts";
import { PAYLOAD_CASES } from "./payload-cases.ts";
import { POLL_CASES } from "./poll-cases.ts";
import { type Case, type CaseResult, chosenCases, type KitListener, playCase } from "./verdicts.ts";
import { WORK_CASES } from "./work-cases.ts";
import { type StageOptions, type Surface, WorkerStage } from "./worker-stage.ts";

/** The cases of each surface. */
export const WORKER_CASES: Readonly<Record<Surface, readonly Case<WorkerStage>[]>> = {
  session: [...WORK_CASES, ...PAYLOAD_CASES, ...CONNECTION_CASES],
  poll: POLL_CASES,
};

export interface WorkerKitOptions extends StageOptions {
  /** Names of cases; all when empty. */
  readonly only: readonly string[];
}

/**
 * Tests a worker. Resolves with every result; rejects with {@link Unmet} when the program never calls, so that there is
 * nothing to test.
 */
export async function testWorker(
  options: WorkerKitOptions,
  listener: KitListener,
): Promise<readonly CaseResult[]> {
  const stage = new WorkerStage(options);
  await stage.start();
  try {
    const surface = await stage.surface();
    const { chosen } = chosenCases(WORKER_CASES[surface], options.only);
    listener.started(surface, chosen.length);
    const results: CaseResult[] = [];
    for (const each of chosen) {
      const result = await playOne(stage, each, options);
      results.push(result);
      listener.played(results.length, result);
    }
    return results;
  } finally {
    await stage.stop();
  }
}

async function playOne(
  stage: WorkerStage,
  each: Case<WorkerStage>,
  { clock }: StageOptions,
): Promise<CaseResult> {
  const result = await playCase(each, stage, clock);
  if (result.outcome !== "failed") return result;
  const output = stage.output();
  await stage.restart();
  if (output === "") return result;
  return { ...result, seen: `${result.seen}\nthe program printed:\n${output}` };
}
