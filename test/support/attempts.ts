/**
 * Attempts for tests of transports and of the runtime: assignments with everything filled in, a listener that remembers
 * every call and lets a test wait for one, and a log that keeps its lines.
 */
import type { RunId } from "../../src/base/ids.ts";
import type { Deed, Outcome } from "../../src/core/run/message.ts";
import type { RecallWish } from "../../src/core/run/recall.ts";
import type { Assignment, DeliveredSignal, RecallAnswer } from "../../src/ports/agent.ts";
import type { Logger } from "../../src/ports/telemetry.ts";
import type { LateReport, WorkerListener } from "../../src/ports/worker.ts";

/** A call of the listener: its method, the attempt's key, and the other arguments. */
export type Report = readonly [method: keyof WorkerListener, key: string, ...rest: unknown[]];

interface Waiter {
  readonly wanted: (report: Report) => boolean;
  readonly resolve: (report: Report) => void;
}

/** Remembers what attempts say. */
export class Recorder implements WorkerListener {
  readonly reports: Report[] = [];
  /** What the memory answers to every question. */
  memory: RecallAnswer = { memories: [], note: "" };
  /** Set around a call into a transport: a report while it is set breaks the port's guarantee. */
  inside: string | undefined;
  readonly violations: string[] = [];
  readonly #waiters = new Set<Waiter>();

  progress(key: string, percent: number, note: string): void {
    this.#record(["progress", key, percent, note]);
  }

  checkpoint(key: string, data: Uint8Array): void {
    this.#record(["checkpoint", key, data]);
  }

  beat(key: string): void {
    this.#record(["beat", key]);
  }

  log(key: string, level: string, message: string): void {
    this.#record(["log", key, level, message]);
  }

  receipt(key: string, signal: string, receipt: string): void {
    this.#record(["receipt", key, signal, receipt]);
  }

  output(key: string, data: Uint8Array): void {
    this.#record(["output", key, data]);
  }

  recall(key: string, wish: RecallWish, answer: (recall: RecallAnswer) => void): void {
    this.#record(["recall", key, wish]);
    answer(this.memory);
  }

  deeds(key: string, deeds: readonly Deed[]): void {
    this.#record(["deeds", key, deeds]);
  }

  late(report: LateReport): void {
    this.#record(["late", report.lease, report]);
  }

  finish(key: string, outcome: Outcome): void {
    this.#record(["finish", key, outcome]);
  }

  /** What one attempt said, without its key. */
  of(key: string): unknown[][] {
    return this.reports
      .filter(([, k]) => k === key)
      .map(([method, , ...rest]) => [method, ...rest]);
  }

  /** Outcomes reported for an attempt; one is right. */
  outcomes(key: string): Outcome[] {
    return this.of(key)
      .filter(([method]) => method === "finish")
      .map(([, outcome]) => outcome as Outcome);
  }

  /** Resolves with the first report, past or to come, that is wanted. */
  until(wanted: (report: Report) => boolean): Promise<Report> {
    const past = this.reports.find(wanted);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => this.#waiters.add({ wanted, resolve }));
  }

  /** Resolves with the attempt's outcome. */
  async finished(key: string): Promise<Outcome> {
    const report = await this.until(([method, k]) => method === "finish" && k === key);
    return report[2] as Outcome;
  }

  #record(report: Report): void {
    this.reports.push(report);
    if (this.inside !== undefined) this.violations.push(`${report[0]} inside ${this.inside}`);
    for (const waiter of this.#waiters) {
      if (!waiter.wanted(report)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(report);
    }
  }
}

let nextKey = 0;

/** An assignment with an own key; JSON values become payloads. */
export function assignment(
  agent: string,
  input: unknown = null,
  rest: Partial<Assignment> = {},
): Assignment {
  const key = `attempt-${nextKey++}`;
  return {
    key,
    runId: "01JD0000000000000000000000" as RunId,
    taskId: "task",
    attempt: 1,
    lease: 1,
    agent,
    workflow: "workflow",
    namespace: "default",
    sessionId: undefined,
    input: { json: JSON.stringify(input) },
    runInput: { json: '{"of":"run"}' },
    idempotencyKey: "01JD0000000000000000000000/task/0",
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    deadlineAt: undefined,
    heartbeatTimeoutMs: undefined,
    lastCheckpoint: undefined,
    signals: [],
    ...rest,
  };
}

/** A steer signal. */
export function steer(signal: string, text: string, payload: unknown = null): DeliveredSignal {
  return { signal, content: { kind: "steer", text, payload: { json: JSON.stringify(payload) } } };
}

/** Parsed output of a success; anything else comes back as it is. */
export function outputOf(outcome: Outcome): unknown {
  if (outcome.kind !== "success" || !("json" in outcome.output)) return outcome;
  return JSON.parse(outcome.output.json);
}

/** Keeps lines as `level: text`. */
export class ListLog implements Logger {
  readonly lines: string[] = [];
  readonly #waiters: { readonly part: string; readonly resolve: (line: string) => void }[] = [];

  debug(_fields: object, text: string): void {
    this.#add(`debug: ${text}`);
  }

  info(_fields: object, text: string): void {
    this.#add(`info: ${text}`);
  }

  warn(_fields: object, text: string): void {
    this.#add(`warn: ${text}`);
  }

  error(_fields: object, text: string): void {
    this.#add(`error: ${text}`);
  }

  child(): Logger {
    return this;
  }

  /** Resolves with the first line, past or to come, that contains `part`. */
  until(part: string): Promise<string> {
    const past = this.lines.find((line) => line.includes(part));
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => this.#waiters.push({ part, resolve }));
  }

  #add(line: string): void {
    this.lines.push(line);
    for (const { part, resolve } of this.#waiters) if (line.includes(part)) resolve(line);
  }
}
