/**
 * Prints docs/errors.md from the fault registry, group by group as the registry's comments name them, so that the page
 * can never say anything else than the program.
 */
import { readFileSync } from "node:fs";
import { FAULTS, type FaultCode, type RpcCode, type Violation } from "../../src/base/fault.ts";

const REGISTRY = new URL("../../src/base/fault.ts", import.meta.url);

/** HTTP status of a code in the Connect protocol (connectrpc.com/docs/protocol, error codes). */
const HTTP_STATUS: Readonly<Record<RpcCode, number>> = {
  INVALID_ARGUMENT: 400,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  RESOURCE_EXHAUSTED: 429,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  DEADLINE_EXCEEDED: 504,
  CANCELLED: 499,
  PERMISSION_DENIED: 403,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
};

const INTRODUCTION = `# Errors

Every refusal has a code that never changes its meaning. Over gRPC, gRPC-Web and Connect it travels as the \`reason\` of a
\`google.rpc.ErrorInfo\` with domain \`goclaw\`; its \`metadata\` holds the facts in \`snake_case\` and the \`remedy\`.
\`google.rpc.BadRequest\` lists every problem of a definition or request, and \`google.rpc.RetryInfo\` says how long to wait
where trying the same again can help. In \`SubmitRuns\` the code is the \`reason\` of a refusal.

A defect of the daemon itself is \`INTERNAL\` with the id of an incident; the daemon's log tells more under that id. A body
that is no valid message at all is refused before it becomes a request, with a sentence and without details.

This page is printed from \`src/base/fault.ts\`.
`;

/** The whole page. */
export function errorsPage(): string {
  return [INTRODUCTION, ...groups().map(section)].join("\n");
}

interface Group {
  readonly title: string;
  readonly codes: FaultCode[];
}

/** Codes under the comment that heads them in the registry. */
function groups(): Group[] {
  const found: Group[] = [];
  for (const line of readFileSync(REGISTRY, "utf8").split("\n")) {
    const title = /^ {2}\/\/ (.+)$/.exec(line)?.[1];
    const code = /^ {2}([A-Z][A-Z_]+): entry</.exec(line)?.[1];
    if (title !== undefined) found.push({ title, codes: [] });
    else if (code !== undefined) found.at(-1)?.codes.push(code as FaultCode);
  }
  return found;
}

function section({ title, codes }: Group): string {
  return [`## ${title}`, "", ...codes.map(entryText)].join("\n");
}

function entryText(code: FaultCode): string {
  const { rpc, retryable, remedy, says } = FAULTS[code];
  const retry = retryable ? "The same request may succeed later." : "Repeating it does not help.";
  return [
    `### ${code}`,
    "",
    `\`${rpc}\`, HTTP ${HTTP_STATUS[rpc]}. ${retry}`,
    "",
    `> ${(says as (facts: object) => string)(EXAMPLE_FACTS)}`,
    "",
    remedy,
    "",
  ].join("\n");
}

const EXAMPLE_VIOLATION: Violation & { readonly source: string } = {
  source: "‹source›",
  field: "‹field›",
  message: "‹message›",
  remedy: "‹remedy›",
};

/** Facts that show their own names. */
const EXAMPLE_FACTS: object = new Proxy(
  {},
  {
    get: (_, name) => (name === "violations" ? [EXAMPLE_VIOLATION] : `‹${String(name)}›`),
  },
);
