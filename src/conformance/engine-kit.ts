/**
 * `goclaw conformance engine`: plays all cases for daemons against one, all at the same time, because each waits for times
 * that the protocol fixes and none touches what another one does. It decides how the plays go side by side; what is right
 * and wrong is decided by the cases.
 */
import { FLOW_CASES } from "./engine-flow-cases.ts";
import { LEASE_CASES } from "./engine-lease-cases.ts";
import { ENGINE_POLL_CASES } from "./engine-poll-cases.ts";
import { EngineScene, type SceneOptions } from "./engine-scene.ts";
import { type Case, type CaseResult, chosenCases, type KitListener, playCase } from "./verdicts.ts";

/** Every case, the slow ones first. */
export const ENGINE_CASES: readonly Case<EngineScene>[] = [
  ...LEASE_CASES,
  ...FLOW_CASES,
  ...ENGINE_POLL_CASES,
];

export interface EngineKitOptions extends SceneOptions {
  /** Names of cases; all when empty. */
  readonly only: readonly string[];
}

/** Tests a daemon. Resolves with every result, in the order in which the cases ended. */
export async function testEngine(
  options: EngineKitOptions,
  listener: KitListener,
): Promise<readonly CaseResult[]> {
  const { chosen } = chosenCases(ENGINE_CASES, options.only);
  listener.started("engine", chosen.length);
  const results: CaseResult[] = [];
  await Promise.all(
    chosen.map(async (each) => {
      const scene = new EngineScene(options);
      const result = await playCase(each, scene, options.clock);
      await scene.clear();
      results.push(result);
      listener.played(results.length, result);
    }),
  );
  return results;
}
