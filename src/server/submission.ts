/**
 * From a request to a run to start. An inline spec becomes a definition through the one validator that files pass too;
 * equal specs are validated once, because clients send the same workflow again and again. Run fields of a submission
 * win over those an inline spec carries.
 */
import { create, toBinary, toJson } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import type { RunSubmission } from "../../gen/goclaw/v1/run_service_pb.ts";
import type { Data, WorkflowSpec } from "../../gen/goclaw/v1/workflow_pb.ts";
import { WorkflowSpecSchema } from "../../gen/goclaw/v1/workflow_pb.ts";
import { type Fault, FaultError, fault } from "../base/fault.ts";
import type { Json } from "../base/payload.ts";
import { DEFAULTS, type Definition } from "../core/dag/definition.ts";
import { readDefinition } from "../core/dag/validate.ts";
import type { StartRun } from "../engine/api.ts";
import type { Host } from "../ports/host.ts";
import { readPayload } from "./wire-payload.ts";
import { fill, readDuration } from "./wire-words.ts";

/** Validated inline specs kept, oldest use first out. */
const SPECS_MAX = 256;

/** Longest idempotency key; the proto says the same of the field, a header has no rule of its own. */
const KEY_MAX = 256;

/** Facts of a call that are not in its message. */
export interface CallHeaders {
  /** `Idempotency-Key`, for clients whose messages carry none. */
  readonly idempotencyKey: string;
  /** Trace id of a W3C `traceparent`. */
  readonly traceId: string | undefined;
}

/** Reads the headers that matter to a submission. */
export function readHeaders(header: Headers): CallHeaders {
  const trace = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(
    header.get("traceparent") ?? "",
  )?.[1];
  return {
    idempotencyKey: header.get("idempotency-key") ?? "",
    traceId: trace === undefined || /^0+$/.test(trace) ? undefined : trace,
  };
}

/** What one run adds to its definition, wherever the request keeps it. */
interface RunFields {
  readonly input?: Value | undefined;
  readonly inputData?: Data | undefined;
  readonly sessionId: string;
  readonly priority: number;
  readonly deadline: string;
  readonly labels: { readonly [key: string]: string };
  readonly namespace: string;
  readonly idempotencyKey: string;
}

/** Turns specs and submissions into what the engine starts. Throws `DEFINITION_INVALID` and the faults of run fields. */
export class Submissions {
  readonly #host: Pick<Host, "sha256">;
  /** By hash of the definition part; insertion order is order of use. */
  readonly #known = new Map<string, Definition>();

  constructor(host: Pick<Host, "sha256">) {
    this.#host = host;
  }

  /** A run of an inline spec. */
  ofSpec(spec: WorkflowSpec, headers: CallHeaders): StartRun {
    return startRun(this.definition(spec), spec, headers);
  }

  /** A run of a submission. */
  ofSubmission(submission: RunSubmission, headers: CallHeaders): StartRun {
    const { source } = submission;
    if (source.case === "definition") return startRun(source.value, submission, headers);
    if (source.case === undefined) throw new FaultError(NO_SOURCE);
    const spec = source.value;
    return startRun(this.definition(spec), merged(spec, submission), headers);
  }

  /** The definition in a spec, without the run's fields. */
  definition(spec: WorkflowSpec): Definition {
    const bare = definitionPart(spec);
    const key = this.#host.sha256(toBinary(WorkflowSpecSchema, bare));
    const known = this.#known.get(key);
    const definition = known ?? validated(bare);
    this.#known.delete(key);
    this.#known.set(key, definition);
    if (this.#known.size > SPECS_MAX) this.#dropOldest();
    return definition;
  }

  #dropOldest(): void {
    for (const key of this.#known.keys()) {
      this.#known.delete(key);
      return;
    }
  }
}

function keyTooLong({ length: value }: string): Fault {
  return fault("LIMIT_EXCEEDED", {
    field: "idempotency_key",
    value,
    limit: KEY_MAX,
    unit: "characters",
  });
}

const NO_SOURCE = fault("ARGUMENT_INVALID", {
  field: "source",
  value: "absent",
  expected: "spec or definition",
});

function definitionPart({
  name,
  version,
  tasks,
  output,
  failFast,
  memory,
}: WorkflowSpec): WorkflowSpec {
  return fill(create(WorkflowSpecSchema, { name, version, tasks }), { output, failFast, memory });
}

function validated(spec: WorkflowSpec): Definition {
  const read = readDefinition(specJson(spec));
  if ("definition" in read) return read.definition;
  const { violations } = read;
  throw new FaultError(fault("DEFINITION_INVALID", { name: spec.name, violations }));
}

function specJson(spec: WorkflowSpec): Json {
  try {
    return toJson(WorkflowSpecSchema, spec, { useProtoFieldName: true }) as Json;
  } catch (cause) {
    // Values without a kind and numbers beyond a double are legal on the wire and have no JSON.
    const value = cause instanceof Error ? cause.message : String(cause);
    const facts = { field: "spec", value, expected: "JSON values" };
    throw new FaultError(fault("ARGUMENT_INVALID", facts), { cause });
  }
}

function merged(spec: WorkflowSpec, over: RunSubmission): RunFields {
  const source = over.input === undefined && over.inputData === undefined ? spec : over;
  return {
    input: source.input,
    inputData: source.inputData,
    sessionId: over.sessionId || spec.sessionId,
    priority: over.priority || spec.priority,
    deadline: over.deadline || spec.deadline,
    labels: { ...spec.labels, ...over.labels },
    namespace: over.namespace || spec.namespace,
    idempotencyKey: over.idempotencyKey || spec.idempotencyKey,
  };
}

/** Shared by all runs that have none. */
const NO_LABELS: RunFields["labels"] = Object.freeze({});

function hasLabels(labels: RunFields["labels"]): boolean {
  for (const _ in labels) return true;
  return false;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function startRun(
  definition: Definition | string,
  fields: RunFields,
  headers: CallHeaders,
): StartRun {
  const request = fill<Writable<StartRun["request"]>>(
    {
      input: readPayload("input", fields.input, fields.inputData),
      namespace: fields.namespace || DEFAULTS.namespace,
      priority: fields.priority,
      labels: hasLabels(fields.labels) ? fields.labels : NO_LABELS,
    },
    {
      sessionId: fields.sessionId || undefined,
      deadlineMs: readDuration("deadline", fields.deadline),
      traceId: headers.traceId,
    },
  );
  const idempotencyKey = fields.idempotencyKey || headers.idempotencyKey;
  if (idempotencyKey.length > KEY_MAX) throw new FaultError(keyTooLong(idempotencyKey));
  return idempotencyKey === "" ? { definition, request } : { definition, request, idempotencyKey };
}
