import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RunSubmissionSchema } from "../../../gen/goclaw/v1/run_service_pb.ts";
import { WorkflowSpecSchema } from "../../../gen/goclaw/v1/workflow_pb.ts";
import { Submissions } from "../../../src/server/submission.ts";
import { VirtualHost } from "../../support/virtual-host.ts";

const HEADERS = { idempotencyKey: "", traceId: undefined };
const spec = (name: string, more: object = {}) =>
  create(WorkflowSpecSchema, { name, tasks: [{ id: "a", agent: "x" }], ...more });

describe("submissions", () => {
  it("validate equal specs once, whatever their runs add", () => {
    const submissions = new Submissions(new VirtualHost());
    const first = submissions.ofSpec(spec("w", { sessionId: "s1", labels: { a: "1" } }), HEADERS);
    const second = submissions.ofSpec(spec("w", { sessionId: "s2", priority: 5 }), HEADERS);
    expect(second.definition).toBe(first.definition);
    expect(second.request).toMatchObject({ sessionId: "s2", priority: 5, labels: {} });
  });

  it("tell different definitions apart", () => {
    const submissions = new Submissions(new VirtualHost());
    const one = submissions.definition(spec("w"));
    for (const other of [
      spec("v"),
      spec("w", { version: "2" }),
      spec("w", { failFast: false }),
      spec("w", { tasks: [{ id: "a", agent: "y" }] }),
      spec("w", { memory: { retrieveLastN: 1 } }),
      spec("w", { output: { kind: { case: "boolValue", value: true } } }),
    ]) {
      expect(submissions.definition(other)).not.toEqual(one);
    }
  });

  it("keep the specs that are used, and only so many", () => {
    const submissions = new Submissions(new VirtualHost());
    const kept = submissions.definition(spec("kept"));
    const forgotten = submissions.definition(spec("forgotten"));
    for (let number = 0; number < 255; number++) {
      submissions.definition(spec(`w${number}`));
      submissions.definition(spec("kept"));
    }
    expect(submissions.definition(spec("kept"))).toBe(kept);
    expect(submissions.definition(spec("forgotten"))).not.toBe(forgotten);
  });

  it("let a submission win over its spec, field by field", () => {
    const { request, idempotencyKey } = new Submissions(new VirtualHost()).ofSubmission(
      create(RunSubmissionSchema, {
        source: {
          case: "spec",
          value: spec("w", {
            input: { kind: { case: "numberValue", value: 1 } },
            sessionId: "spec",
            namespace: "spec",
            deadline: "1s",
            priority: 1,
            idempotencyKey: "spec",
            labels: { a: "spec", b: "spec" },
          }),
        },
        inputData: { mediaType: "text/plain", data: Uint8Array.of(1) },
        namespace: "run",
        labels: { a: "run" },
      }),
      HEADERS,
    );
    expect(request).toEqual({
      input: { mediaType: "text/plain", bytes: Uint8Array.of(1) },
      namespace: "run",
      sessionId: "spec",
      deadlineMs: 1_000,
      priority: 1,
      labels: { a: "run", b: "spec" },
    });
    expect(idempotencyKey).toBe("spec");
  });
});
