/**
 * The rules written in the protos, enforced at the edge: every violation of a request is reported at once. Fields of an
 * inline definition are left to the definition's own validator, which says more about each (nearest names, cycles,
 * remedies) and reports them together with what only it can see.
 */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation as RuleViolation } from "@bufbuild/protovalidate";
import { FaultError, fault, type Violation } from "../base/fault.ts";

/** Fields of a WorkflowSpec that belong to the definition; the others add to one run and are checked here. */
const DEFINITION_FIELDS: ReadonlySet<string> = new Set(["name", "version", "tasks", "memory"]);

const patterns = new Map<string, RegExp>();

/** All patterns are our own constants without backtracking, so the platform's engine is as safe as RE2, and faster. */
function matches(pattern: string, text: string): boolean {
  const known = patterns.get(pattern) ?? new RegExp(pattern, "u");
  patterns.set(pattern, known);
  return known.test(text);
}

const validator = createValidator({ regexMatch: matches });

/** Throws `REQUEST_INVALID` with every violation of a request's rules. */
export function validateMessage<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): void {
  const violations = violationsOf(schema, message);
  if (violations.length > 0) throw new FaultError(fault("REQUEST_INVALID", { violations }));
}

function violationsOf<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): Violation[] {
  const result = validator.validate(schema, message);
  if (result.kind === "error") throw result.error;
  if (result.kind === "valid") return [];
  return result.violations.filter((violation) => !isOfDefinition(violation)).map(asViolation);
}

function isOfDefinition({ field }: RuleViolation): boolean {
  return field.some(
    (step) =>
      step.kind === "field" &&
      step.parent.typeName === "goclaw.v1.WorkflowSpec" &&
      DEFINITION_FIELDS.has(step.name),
  );
}

function asViolation({ field, message, ruleId }: RuleViolation): Violation {
  return {
    field: pathToString(field),
    message,
    remedy: `Rule ${ruleId} of the proto says what is accepted.`,
  };
}
