/**
 * A short cut for the bulk path: submissions that use few fields, within bounds far inside the proto's rules, need no
 * walk through the rules, which took 6 % of the engine thread under W1 and takes 1 % with this. It only ever says
 * "surely valid" or "look properly"; a property test holds it to the rules themselves.
 */
import type { NumberedSubmission } from "../../gen/goclaw/v1/run_service_pb.ts";

/** Bounds in UTF-16 units: three bytes of UTF-8 each at most, so a quarter of a rule's bytes is safe. */
const TEXT_MAX = 64;
const DURATION_MAX = 16;
const DATA_MAX_BYTES = 1024 * 1024;
const PLAIN_NAME = /^[A-Za-z0-9_.@-]{1,64}$/;

/** Whether a submission of a registered definition is valid beyond doubt. */
export function isPlain({ run }: NumberedSubmission): boolean {
  if (run === undefined || run.source.case !== "definition") return false;
  const { inputData: data } = run;
  return (
    PLAIN_NAME.test(run.source.value) &&
    run.input === undefined &&
    (data === undefined ||
      (data.mediaType.length <= TEXT_MAX && data.data.byteLength <= DATA_MAX_BYTES)) &&
    run.sessionId.length <= TEXT_MAX &&
    run.priority >= -100 &&
    run.priority <= 100 &&
    run.deadline.length <= DURATION_MAX &&
    run.namespace === "" &&
    run.idempotencyKey.length <= TEXT_MAX &&
    hasNoKeys(run.labels)
  );
}

function hasNoKeys(labels: object): boolean {
  for (const _ in labels) return false;
  return true;
}
