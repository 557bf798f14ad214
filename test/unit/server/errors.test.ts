import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";
import { FaultError, fault } from "../../../src/base/fault.ts";
import { createErrorFunnel, faultToConnect } from "../../../src/server/errors.ts";
import { MemoryLogger } from "../../support/memory-logger.ts";
import { VirtualHost } from "../../support/virtual-host.ts";

describe("a fault on the wire", () => {
  it("carries code, sentence, reason, facts and remedy", () => {
    const error = faultToConnect(
      fault("IDEMPOTENCY_CONFLICT", { key: "k", runId: "01ARZ3NDEKTSV4RRFFQ69G5FAV" }),
    );
    expect(error.code).toBe(Code.AlreadyExists);
    expect(error.rawMessage).toContain('idempotency key "k" already started run');
    expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({
      reason: "IDEMPOTENCY_CONFLICT",
      domain: "goclaw",
      metadata: {
        key: "k",
        run_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        remedy: "Use a new idempotency key for a different request.",
      },
    });
    expect(error.findDetails(BadRequestSchema)).toEqual([]);
    expect(error.findDetails(RetryInfoSchema)).toEqual([]);
  });

  it("lists every violation with its position and remedy", () => {
    const violations = [
      { field: "tasks[0].agent", message: "is missing", remedy: "Name one.", line: 3, column: 7 },
      { field: "name", message: "is missing", remedy: "Give one." },
    ];
    const error = faultToConnect(fault("DEFINITION_INVALID", { name: "w", violations }));
    expect(error.code).toBe(Code.InvalidArgument);
    const [details] = error.findDetails(BadRequestSchema);
    expect(details?.fieldViolations).toMatchObject([
      { field: "tasks[0].agent", description: "line 3, column 7: is missing. Name one." },
      { field: "name", description: "is missing. Give one." },
    ]);
  });

  it("says when to try again, where that can help", () => {
    const overloaded = faultToConnect(
      fault("ENGINE_OVERLOADED", { what: "tasks", limit: 5, retryAfterMs: 1_500 }),
    );
    expect(overloaded.findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({
      seconds: 1n,
      nanos: 500_000_000,
    });
    const failed = faultToConnect(fault("STORE_FAILED", { operation: "write", detail: "EIO" }));
    expect(failed.findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({ seconds: 1n });
  });
});

describe("the funnel", () => {
  const setUp = () => {
    const log = new MemoryLogger();
    return { log, funnel: createErrorFunnel({ host: new VirtualHost(), log }) };
  };

  it("translates faults and passes wire errors on", () => {
    const { funnel, log } = setUp();
    const gone = new FaultError(fault("RUN_NOT_FOUND", { runId: "x" }));
    expect(funnel(gone, "m").code).toBe(Code.NotFound);
    const wire = new ConnectError("no", Code.Unimplemented);
    expect(funnel(wire, "m")).toBe(wire);
    expect(log.lines).toEqual([]);
  });

  it("takes an aborted call for a cancelled one", () => {
    const { funnel, log } = setUp();
    expect(funnel(new DOMException("gone", "AbortError"), "m").code).toBe(Code.Canceled);
    expect(log.lines).toEqual([]);
  });

  it.each(["ECANCELED", "ERR_HTTP2_INVALID_STREAM", "EPIPE"])(
    "takes a client that left in the middle of a message (%s) for a cancelled call",
    (code) => {
      const { funnel, log } = setUp();
      const broken = Object.assign(new Error(`write ${code}`), { code });
      expect(funnel(broken, "m").code).toBe(Code.Canceled);
      expect(log.lines).toEqual([]);
      expect(funnel(Object.assign(new Error("no"), { code: "ENOENT" }), "m").code).toBe(
        Code.Internal,
      );
    },
  );

  it("keeps the details of a defect in the log, under the id it tells the client", () => {
    const { funnel, log } = setUp();
    const error = funnel(new TypeError("secret of the code"), "goclaw.v1.RunService/GetRun");
    expect(error.code).toBe(Code.Internal);
    expect(error.message).not.toContain("secret");
    const incident = error.findDetails(ErrorInfoSchema)[0]?.metadata.incident;
    expect(incident).toMatch(/^[0-9a-f]{16}$/);
    expect(error.message).toContain(incident);
    expect(log.lines).toMatchObject([
      { level: "error", incident, method: "goclaw.v1.RunService/GetRun" },
    ]);
    expect(JSON.stringify(log.lines)).toContain("secret of the code");
  });
});
