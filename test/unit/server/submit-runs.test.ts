/**
 * The bulk stream against a made-up engine: order of answers, refusals that stay with their submission, and
 * backpressure in both directions. Nothing here waits for time; each step waits for the one before.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { RunState } from "../../../gen/goclaw/v1/run_pb.ts";
import type { SubmitRunsResponse } from "../../../gen/goclaw/v1/run_service_pb.ts";
import { SubmitRunsRequestSchema } from "../../../gen/goclaw/v1/run_service_pb.ts";
import { FaultError, fault } from "../../../src/base/fault.ts";
import { parseRunId, type RunId } from "../../../src/base/ids.ts";
import type { Payload } from "../../../src/base/payload.ts";
import type { EndedRun, StartRun } from "../../../src/engine/api.ts";
import { createErrorFunnel } from "../../../src/server/errors.ts";
import { Submissions } from "../../../src/server/submission.ts";
import { BULK_LIMITS, submitRuns } from "../../../src/server/submit-runs.ts";
import { MemoryLogger } from "../../support/memory-logger.ts";
import { runIdOf } from "../../support/run-events.ts";
import { VirtualHost } from "../../support/virtual-host.ts";

type RequestInit = MessageInitShape<typeof SubmitRunsRequestSchema>;

const run = (number: number, more: object = {}) => ({
  number: BigInt(number),
  run: { source: { case: "definition" as const, value: "w" }, ...more },
});

/** A request stream that a test feeds by hand. */
class Requests implements AsyncIterable<ReturnType<typeof request>> {
  readonly #queue: RequestInit[] = [];
  #wake: () => void = () => {};
  #isEnded = false;
  #failure: Error | undefined;
  /** Messages the server has taken. */
  taken = 0;

  send(...requests: RequestInit[]): this {
    this.#queue.push(...requests);
    this.#wake();
    return this;
  }

  fail(error: Error): void {
    this.#failure = error;
    this.#wake();
  }

  end(): this {
    this.#isEnded = true;
    this.#wake();
    return this;
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        this.taken++;
        yield request(next);
      } else if (this.#failure !== undefined) throw this.#failure;
      else if (this.#isEnded) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

const request = (init: RequestInit) => create(SubmitRunsRequestSchema, init);

interface Started {
  readonly request: StartRun;
  readonly runId: RunId;
  accept(existing?: boolean): void;
  refuse(error: unknown): void;
  end(output?: Payload): void;
}

function setUp() {
  const started: Started[] = [];
  const log = new MemoryLogger();
  const host = new VirtualHost();
  const leaving = new AbortController();
  const requests = new Requests();
  const startRun = (submission: StartRun, onEnd?: (end: EndedRun) => void) => {
    const runId = runIdOf(started.length);
    return new Promise<{ runId: RunId; sequence: number; existing: boolean }>((resolve, reject) => {
      started.push({
        request: submission,
        runId,
        accept: (existing = false) => resolve({ runId, sequence: 1, existing }),
        refuse: reject,
        end: (output) =>
          onEnd?.({ runId, status: "COMPLETED", reason: undefined, message: "", output }),
      });
    });
  };
  const responses = submitRuns(
    requests,
    { headers: { idempotencyKey: "header", traceId: undefined }, signal: leaving.signal },
    {
      engine: { startRun },
      submissions: new Submissions(host),
      host: { defer: (act) => void setImmediate(act) },
      funnel: createErrorFunnel({ host, log }),
    },
  )[Symbol.asyncIterator]();
  const next = async (): Promise<SubmitRunsResponse> => {
    const { value, done } = await responses.next();
    if (done) throw new Error("the stream ended");
    return value;
  };
  return { started, log, leaving, requests, responses, next };
}

/** Lets everything happen that needs no further input. */
const settle = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

describe("a bulk stream", () => {
  it("answers acceptances of one commit in one message, then ends, then ends itself", async () => {
    const { started, requests, next, responses } = setUp();
    requests.send({ runs: [run(1), run(2)] }, { runs: [run(3)] }).end();
    const first = next();
    await settle();
    expect(started).toHaveLength(3);
    for (const submission of started) submission.accept();
    expect((await first).accepted.map(({ number, runId }) => [number, runId])).toEqual([
      [1n, runIdOf(0)],
      [2n, runIdOf(1)],
      [3n, runIdOf(2)],
    ]);
    const second = next();
    started[1]?.end({ json: '{"x":1}' });
    const { ended } = await second;
    expect(ended).toMatchObject([{ number: 2n, runId: runIdOf(1), state: RunState.COMPLETED }]);
    expect(ended[0]?.output?.kind.case).toBe("structValue");
    started[0]?.end();
    started[2]?.end();
    expect((await next()).ended).toHaveLength(2);
    expect((await responses.next()).done).toBe(true);
  });

  it("never tells the end of a run before its acceptance", async () => {
    const { started, requests, next } = setUp();
    requests.send({ runs: [run(1)] });
    const first = next();
    await settle();
    started[0]?.end();
    started[0]?.accept();
    const { accepted, ended } = await first;
    expect([accepted.length, ended.length]).toEqual([1, 1]);
  });

  it("refuses one submission without harm to the others", async () => {
    const { started, requests, next, responses } = setUp();
    requests
      .send({
        runs: [
          run(1, { priority: 1000 }),
          run(2, { input: { kind: { case: "numberValue", value: Infinity } } }),
          run(3),
          run(4, { source: { case: "spec", value: { name: "w", tasks: [] } } }),
          run(5),
          { number: 6n },
        ],
        detached: true,
      })
      .end();
    const answers = next();
    await settle();
    expect(started).toHaveLength(2);
    started[0]?.accept(true);
    started[1]?.refuse(
      new FaultError(fault("ENGINE_OVERLOADED", { what: "x", limit: 1, retryAfterMs: 1 })),
    );
    const refused = [...(await answers).refused];
    const last = await next();
    refused.push(...last.refused);
    expect(last.accepted).toMatchObject([{ number: 3n, existing: true }]);
    expect(
      refused
        .map(({ number, reason, retryable }) => [number, reason, retryable])
        .sort(([a], [b]) => Number(a) - Number(b)),
    ).toEqual([
      [1n, "REQUEST_INVALID", false],
      [2n, "ARGUMENT_INVALID", false],
      [4n, "DEFINITION_INVALID", false],
      [5n, "ENGINE_OVERLOADED", true],
      [6n, "REQUEST_INVALID", false],
    ]);
    expect((await responses.next()).done).toBe(true);
  });

  it("keeps defects in the log", async () => {
    const { started, requests, next, log } = setUp();
    requests.send({ runs: [run(1)] });
    const answer = next();
    await settle();
    started[0]?.refuse(new TypeError("secret"));
    const { refused } = await answer;
    expect(refused).toMatchObject([{ number: 1n, reason: "INTERNAL", retryable: false }]);
    expect(refused[0]?.message).not.toContain("secret");
    expect(log.lines).toHaveLength(1);
  });

  it("uses each submission's own idempotency key, never the stream's header", async () => {
    const { started, requests, next } = setUp();
    requests.send({ runs: [run(1), run(2, { idempotencyKey: "own" })] });
    void next();
    await settle();
    expect(started.map(({ request }) => request.idempotencyKey)).toEqual([undefined, "own"]);
  });

  it("reports no ends when detached, and outputs as Data when asked", async () => {
    const detached = setUp();
    detached.requests.send({ runs: [run(1)], detached: true }).end();
    const answer = detached.next();
    await settle();
    detached.started[0]?.accept();
    expect((await answer).accepted).toHaveLength(1);
    expect((await detached.responses.next()).done).toBe(true);

    const raw = setUp();
    raw.requests.send({ runs: [run(1)], rawOutputs: true });
    const both = raw.next();
    await settle();
    raw.started[0]?.accept();
    raw.started[0]?.end({ json: "[1]" });
    const { ended } = await both;
    expect(ended[0]?.outputData?.data).toEqual(new TextEncoder().encode("[1]"));
  });
});

describe("backpressure of a bulk stream", () => {
  it("stops reading while too many submissions wait for their commit", async () => {
    const { started, requests, next } = setUp();
    const full = BULK_LIMITS.inFlight;
    requests.send({ runs: Array.from({ length: full }, (_, at) => run(at)) });
    requests.send({ runs: [run(full)] }, { runs: [run(full + 1)] });
    const answer = next();
    await settle();
    expect(started).toHaveLength(full);
    expect(requests.taken).toBe(2);
    started[0]?.accept();
    await answer;
    await settle();
    expect(started).toHaveLength(full + 1);
  });

  it("stops reading while the client does not read its answers", async () => {
    const { started, requests, next } = setUp();
    requests.send({ runs: Array.from({ length: 10 }, (_, at) => run(at)) });
    const first = next();
    await settle();
    for (const submission of started) submission.accept();
    await first;
    const output = { json: JSON.stringify("x".repeat(400_000)) };
    for (const submission of started.slice(0, 6)) submission.end(output);
    requests.send({ runs: [run(10)] });
    await settle();
    expect(started).toHaveLength(10);
    for (let reads = 0; reads < 2; reads++) await next();
    await settle();
    expect(started).toHaveLength(11);
  });

  it("cuts off a client that never reads, because the runs go on", async () => {
    const { started, requests, next, responses } = setUp();
    requests.send({ runs: Array.from({ length: 100 }, (_, at) => run(at)) });
    const first = next();
    await settle();
    for (const submission of started) submission.accept();
    await first;
    const output = { json: JSON.stringify("x".repeat(500_000)) };
    for (const submission of started) submission.end(output);
    await expect(responses.next()).rejects.toMatchObject({
      fault: { code: "ENGINE_OVERLOADED", what: "answers this client has not read" },
    });
  });

  it("refuses a batch beyond its limit", async () => {
    const { requests, responses } = setUp();
    const runs = Array.from({ length: BULK_LIMITS.batch + 1 }, (_, at) => run(at));
    requests.send({ runs });
    await expect(responses.next()).rejects.toMatchObject({ fault: { code: "LIMIT_EXCEEDED" } });
  });
});

describe("the end of a bulk stream", () => {
  it("comes at once when the daemon or the client leaves; later ends are dropped", async () => {
    const { started, requests, next, responses, leaving } = setUp();
    requests.send({ runs: [run(1)] });
    const first = next();
    await settle();
    started[0]?.accept();
    await first;
    const waiting = responses.next();
    const reason = new ConnectError("gone");
    leaving.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    started[0]?.end();
    expect((await responses.next()).done).toBe(true);
  });

  it("comes with the failure of the request stream", async () => {
    const { responses, requests } = setUp();
    requests.fail(new ConnectError("malformed"));
    await expect(responses.next()).rejects.toThrow("malformed");
  });
});

it("run ids of these tests are run ids", () => {
  expect(parseRunId(runIdOf(7))).toBe(runIdOf(7));
});
