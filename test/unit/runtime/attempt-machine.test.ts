/** Every arrow of the table, present and absent. */
import { expect, test } from "vitest";
import {
  ATTEMPT_TABLE,
  type AttemptInput,
  type AttemptPhase,
  nextPhase,
} from "../../../src/runtime/attempt-machine.ts";

const ARROWS: Readonly<Record<string, AttemptPhase>> = {
  "PREPARED handed": "RUNNING",
  "PREPARED stop": "STOPPING",
  "PREPARED finish": "DONE",
  "RUNNING stop": "STOPPING",
  "RUNNING finish": "DONE",
  "STOPPING stop": "STOPPING",
  "STOPPING finish": "DONE",
};

const pairs = (Object.keys(ATTEMPT_TABLE) as AttemptPhase[]).flatMap((phase) =>
  (["handed", "stop", "finish"] as AttemptInput[]).map((input) => [phase, input] as const),
);

test.each(pairs)("%s on %s", (phase, input) => {
  expect(nextPhase(phase, input)).toBe(ARROWS[`${phase} ${input}`]);
});
