/**
 * What every transport guarantees (ports/agent.ts), whatever carries the attempts. A transport under test brings one
 * agent per behaviour, under the names below; the suite knows nothing else about it. Nothing here waits for time to
 * pass, except through the stops it asks for.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SystemHost } from "../../src/adapters/system-host.ts";
import type { AgentTransport, Assignment, DeliveredSignal } from "../../src/ports/agent.ts";
import type { Host } from "../../src/ports/host.ts";
import { assignment, outputOf, Recorder, steer } from "../support/attempts.ts";

/** The agents a transport under test offers. */
export const BEHAVIOURS = {
  /** Returns its input. */
  echo: "echo",
  /** Returns an object of what it was told; see the test. */
  context: "context",
  /** Fails with the message `boom`. */
  throws: "throws",
  /** Fails with the message `never again`, for good. */
  terminal: "terminal",
  /** Progress 40 `half`, checkpoint `[1, 2, 3]`, log line `a line` at info, then returns null. */
  reporter: "reporter",
  /** Reports progress 1, then waits until it is asked to stop and ends without a result. */
  waits: "waits",
  /** Reports progress 1, then waits until it is asked to stop and returns "in time". */
  returns: "returns",
  /** Reports progress 1, then neither ends nor listens. */
  deaf: "deaf",
  /** Reports progress 1, then returns the texts of the signals it admitted, once `"last"` is among them. */
  mail: "mail",
  remembers: "remembers",
} as const;

export interface TransportUnderTest {
  readonly transport: AgentTransport;
  readonly dispose?: () => Promise<void>;
}

export function describeTransport(
  name: string,
  make: (host: Host) => Promise<TransportUnderTest>,
): void {
  describe(`transport: ${name}`, () => {
    let host: SystemHost;
    let recorder: Recorder;
    let subject: TransportUnderTest;
    let transport: AgentTransport;

    beforeEach(async () => {
      host = new SystemHost();
      recorder = new Recorder();
      subject = await make(host);
      transport = subject.transport;
      await transport.open(recorder, () => {});
    });

    afterEach(async () => {
      await transport.close();
      await subject.dispose?.();
      host.close();
      expect(recorder.violations).toEqual([]);
      expectOneEnd();
    });

    /** No attempt of the test ended twice. */
    function expectOneEnd(): void {
      const ended = recorder.reports
        .filter(([method]) => method === "finish")
        .map(([, key]) => key);
      expect(ended).toEqual([...new Set(ended)]);
    }

    /** Calls into the transport; a report before the call returns is a violation. */
    function inside<T>(what: string, call: () => T): T {
      recorder.inside = what;
      const result = call();
      recorder.inside = undefined;
      return result;
    }

    function start(agent: string, input?: unknown, rest?: Partial<Assignment>): string {
      const given = assignment(agent, input, rest);
      inside("start", () => transport.start(given));
      return given.key;
    }

    const stop = (key: string, graceMs: number) =>
      inside("stop", () => transport.stop(key, { reason: "INTERRUPTED", graceMs }));

    const signal = (key: string, sent: DeliveredSignal) =>
      inside("signal", () => transport.signal(key, sent));

    const progressOf = (key: string) =>
      recorder.until(([method, k]) => method === "progress" && k === key);

    const receiptsOf = (key: string) => recorder.of(key).filter(([method]) => method === "receipt");

    test("lists its agents", () => {
      const infos = transport.agents();
      const names = infos.map((info) => info.name);
      expect(names).toEqual(expect.arrayContaining(Object.values(BEHAVIOURS)));
      for (const info of infos) expect(info.transport).toBe(transport.kind);
      expect(transport.problems?.() ?? []).toEqual([]);
    });

    test.each([
      ["null", null],
      ["a text with every kind of character", 'ä€😀\u0000\u2028"\\\n'],
      ["a structure", { list: [1, -0.5, 1e21, true, null], deep: { "": {} } }],
      ["a large value", "x".repeat(300_000)],
    ])("carries %s to the agent and back", async (_what, value) => {
      expect(outputOf(await recorder.finished(start(BEHAVIOURS.echo, value)))).toEqual(value);
    });

    test("tells the agent about its attempt", async () => {
      const key = start(
        BEHAVIOURS.context,
        { here: 1 },
        {
          attempt: 3,
          sessionId: "session-1",
          lastCheckpoint: new Uint8Array([7, 255]),
        },
      );
      expect(outputOf(await recorder.finished(key))).toEqual({
        input: { here: 1 },
        run_id: "01JD0000000000000000000000",
        task_id: "task",
        attempt: 3,
        idempotency_key: "01JD0000000000000000000000/task/0",
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
        session_id: "session-1",
        run_input: { of: "run" },
        last_checkpoint: "B/8=",
      });
    });

    test("reports a failure with its message", async () => {
      expect(await recorder.finished(start(BEHAVIOURS.throws))).toEqual({
        kind: "failure",
        failure: "retryable",
        message: "boom",
      });
    });

    test("reports a failure for good as one", async () => {
      expect(await recorder.finished(start(BEHAVIOURS.terminal))).toEqual({
        kind: "failure",
        failure: "terminal",
        message: "never again",
      });
    });

    test("passes on progress, checkpoint and log before the end, in order", async () => {
      const key = start(BEHAVIOURS.reporter);
      await recorder.finished(key);
      expect(recorder.of(key)).toEqual([
        ["progress", 40, "half"],
        ["checkpoint", new Uint8Array([1, 2, 3])],
        ["log", "info", "a line"],
        ["finish", { kind: "success", output: { json: "null" } }],
      ]);
    });

    test("shows memories, answers questions to the memory, and takes what is to be remembered along", async () => {
      const memory = { id: "01J0000000000000000000000A", kind: "note", text: "tea", strength: 1 };
      recorder.memory = { memories: [memory], note: "" };
      const key = start(BEHAVIOURS.remembers, null, { memories: [{ ...memory, text: "shown" }] });
      expect(await recorder.finished(key)).toEqual({
        kind: "success",
        output: expect.anything(),
        memories: [
          { content: "plain", kind: "note", metadata: {}, importance: "normal" },
          { content: "rich", kind: "fact", metadata: { of: "x" }, importance: "important" },
        ],
      });
      expect(outputOf(await recorder.finished(key))).toEqual({
        shown: [{ ...memory, text: "shown" }],
        told: [memory],
      });
      expect(recorder.of(key)[0]).toEqual([
        "recall",
        { text: "a question", limit: 2, filter: { of: "x" } },
      ]);
    });

    test("forgets what a failed attempt wanted remembered", async () => {
      const outcome = await recorder.finished(start(BEHAVIOURS.remembers, { fails: true }));
      expect(outcome).toEqual({ kind: "failure", failure: "retryable", message: "forget it" });
    });

    test("refuses an agent it does not have", async () => {
      expect(await recorder.finished(start("nobody"))).toMatchObject({ kind: "failure" });
    });

    test("asks an agent to stop", async () => {
      const key = start(BEHAVIOURS.waits);
      await progressOf(key);
      stop(key, 10_000);
      expect(await recorder.finished(key)).toEqual({ kind: "stopped" });
    });

    test("stops an attempt that was started in the same turn", async () => {
      const key = start(BEHAVIOURS.waits);
      stop(key, 5_000);
      expect(await recorder.finished(key)).toEqual({ kind: "stopped" });
    });

    test("takes a value returned within the grace", async () => {
      const key = start(BEHAVIOURS.returns);
      await progressOf(key);
      stop(key, 10_000);
      expect(outputOf(await recorder.finished(key))).toBe("in time");
    });

    test("forces a deaf agent within a second after the grace", async () => {
      const key = start(BEHAVIOURS.deaf);
      await progressOf(key);
      const stoppedMs = host.elapsedMs();
      stop(key, 100);
      const outcome = await recorder.finished(key);
      const waitedMs = host.elapsedMs() - stoppedMs;
      expect(["stopped", "lost"]).toContain(outcome.kind);
      expect(waitedMs).toBeGreaterThanOrEqual(99);
      expect(waitedMs).toBeLessThan(1_100);
    });

    test("takes the earliest end of several stops", async () => {
      const key = start(BEHAVIOURS.deaf);
      await progressOf(key);
      stop(key, 3_600_000);
      stop(key, 50);
      stop(key, 3_600_000);
      expect(["stopped", "lost"]).toContain((await recorder.finished(key)).kind);
    });

    test("delivers signals in order, and tells when each is admitted", async () => {
      const key = start(BEHAVIOURS.mail);
      await progressOf(key);
      for (const [id, text] of [
        ["s1", "first"],
        ["s2", "second"],
        ["s3", "last"],
      ] as const) {
        signal(key, steer(id, text));
      }
      expect(outputOf(await recorder.finished(key))).toEqual(["first", "second", "last"]);
      for (const id of ["s1", "s2", "s3"]) {
        const mine = receiptsOf(key).filter(([, of]) => of === id);
        expect(mine).toEqual([
          ["receipt", id, "delivered"],
          ["receipt", id, "admitted"],
        ]);
      }
      const admitted = receiptsOf(key).filter(([, , receipt]) => receipt === "admitted");
      expect(admitted.map(([, id]) => id)).toEqual(["s1", "s2", "s3"]);
    });

    test("hands over the signals of the assignment first", async () => {
      const signals = [steer("s1", "earlier"), steer("s2", "waiting")];
      const key = start(BEHAVIOURS.mail, null, { signals });
      signal(key, steer("s3", "last"));
      expect(outputOf(await recorder.finished(key))).toEqual(["earlier", "waiting", "last"]);
    });

    test("ignores calls for attempts it does not have", async () => {
      stop("no such attempt", 0);
      signal("no such attempt", steer("s1", "left"));
      const key = start(BEHAVIOURS.echo, "after");
      await recorder.finished(key);
      stop(key, 0);
      signal(key, steer("s2", "late"));
      expect(outputOf(await recorder.finished(start(BEHAVIOURS.echo, "still")))).toBe("still");
      expect(receiptsOf(key)).toEqual([]);
    });

    test("runs many attempts at once and ends each once", async () => {
      const keys = Array.from({ length: 40 }, (_, n) => {
        return start(n % 4 === 0 ? BEHAVIOURS.throws : BEHAVIOURS.echo, n);
      });
      const outcomes = await Promise.all(keys.map((key) => recorder.finished(key)));
      for (const [n, outcome] of outcomes.entries()) {
        expect(n % 4 === 0 ? outcome.kind : outputOf(outcome)).toBe(n % 4 === 0 ? "failure" : n);
      }
    });

    test("ends every attempt as lost when it is closed, and takes none afterwards", async () => {
      const keys = [start(BEHAVIOURS.waits), start(BEHAVIOURS.deaf), start(BEHAVIOURS.mail)];
      await Promise.all(keys.map(progressOf));
      await Promise.all([transport.close(), transport.close()]);
      for (const key of keys) {
        expect(recorder.outcomes(key)).toMatchObject([{ kind: "lost", reason: "WORKER_LOST" }]);
      }
      expect(await recorder.finished(start(BEHAVIOURS.echo))).toMatchObject({ kind: "lost" });
    });

    test("may be closed before it is opened", async () => {
      const other = await make(host);
      await other.transport.close();
      await other.dispose?.();
    });
  });
}
