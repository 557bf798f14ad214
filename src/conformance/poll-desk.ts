/**
 * The engine's side of the poll surface: hands out what a case has laid ready, answers reports, and remembers everything
 * the worker says. What a case decides is what is laid ready, which verdict a result gets and which calls are lost on
 * their way; without such a decision it is an honest engine with nothing to do.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type DrainWorkerRequest,
  type Hello,
  type PollTasksRequest,
  PollTasksRequestSchema,
  type PollTasksResponse,
  PollTasksResponseSchema,
  type ReportTaskRequest,
  type ReportTaskResponse,
  ReportTaskResponseSchema,
  VerdictOutcome,
  type VerdictSchema,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { Instant } from "../base/time.ts";
import { Inbox } from "./inbox.ts";
import { describeSaid, isResult, type Result, type Said, saidInReport } from "./said.ts";
import { shown } from "./values.ts";
import type { Clock } from "./verdicts.ts";
import type { Cut, MessageInit } from "./worker-session.ts";

/** A call as it came, with the time. */
export interface Poll {
  readonly request: PollTasksRequest;
  readonly worker: Hello;
  readonly at: number;
}

/** What happens to a call instead of an answer. */
type Mishap = { readonly code: Code } | "cut";

/** How many of the next calls meet it. */
interface Mishaps {
  readonly mishap: Mishap;
  left: number;
}

/** Never written to, because nothing is left of it. */
const NO_MISHAPS: Mishaps = { mishap: "cut", left: 0 };

/** What goes out with the next answer. */
export type Directives = Pick<MessageInit, "assigns" | "cancels" | "drops" | "signals" | "goAway">;

type ReportDirectives = Pick<MessageInit, "cancels" | "drops" | "signals">;

/** Longest wait of a poll without work: short, so that a case never waits for one that began before it. */
const WAIT_MAX_MS = 250;

export class PollDesk {
  readonly polls: Inbox<Poll>;
  readonly said: Inbox<Said>;
  readonly drains: Inbox<DrainWorkerRequest>;
  readonly #clock: Clock;
  #ready: NonNullable<MessageInit["assigns"]> = [];
  #pollDirectives: Directives = {};
  #reportDirectives: ReportDirectives = {};
  #verdictOf: (result: Result) => VerdictOutcome = () => VerdictOutcome.FENCED;
  #pollMishaps = NO_MISHAPS;
  #reportMishaps = NO_MISHAPS;
  #wake = new Set<() => void>();
  /** When a poll was last told something beside assignments. */
  toldAt: Instant | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.polls = new Inbox(clock, ({ request }) => shown(PollTasksRequestSchema, request));
    this.said = new Inbox(clock, describeSaid);
    this.drains = new Inbox(clock, ({ leaving }) => `DrainWorker, leaving: ${leaving}`);
  }

  /** Back to an honest engine with nothing to do. */
  reset(): void {
    this.#ready = [];
    this.#pollDirectives = {};
    this.toldAt = undefined;
    this.#reportDirectives = {};
    this.#verdictOf = () => VerdictOutcome.FENCED;
    this.#pollMishaps = NO_MISHAPS;
    this.#reportMishaps = NO_MISHAPS;
    for (const inbox of [this.polls, this.said, this.drains]) inbox.clear();
  }

  /** Lays assignments ready for the next polls; results get the verdict that `verdictOf` says. */
  give(
    assigns: NonNullable<MessageInit["assigns"]>,
    verdictOf: (result: Result) => VerdictOutcome = () => VerdictOutcome.COMMITTED,
  ): void {
    this.#verdictOf = verdictOf;
    this.#ready = [...this.#ready, ...assigns];
    for (const wake of this.#wake) wake();
  }

  /** Lays assignments ready for one poll, however many it asks for. */
  giveTogether(assigns: NonNullable<MessageInit["assigns"]>): void {
    this.#pollDirectives = { assigns };
    this.give([]);
  }

  tellWithPoll(directives: Directives): void {
    this.#pollDirectives = directives;
    for (const wake of this.#wake) wake();
  }

  tellWithReport(directives: ReportDirectives): void {
    this.#reportDirectives = directives;
  }

  losePolls(mishap: Mishap, times: number): void {
    this.#pollMishaps = { mishap, left: times };
    for (const wake of this.#wake) wake();
  }

  /** The reports that end something are handled and then lost, before the worker hears of it. */
  loseReports(mishap: Mishap, times: number): void {
    this.#reportMishaps = { mishap, left: times };
  }

  async poll(request: PollTasksRequest, cut: Cut): Promise<PollTasksResponse> {
    const { worker, maxTasks, waitMs = WAIT_MAX_MS } = request;
    if (worker !== undefined) this.polls.push({ request, worker, at: this.#clock.now() });
    if (this.#isIdle()) await this.#something(Math.min(waitMs, WAIT_MAX_MS));
    suffer(this.#pollMishaps, cut);
    const assigns = this.#ready.slice(0, Math.max(1, maxTasks));
    this.#ready = this.#ready.slice(assigns.length);
    const directives = this.#pollDirectives;
    if (Object.keys(directives).length > 0) this.toldAt = this.#clock.now();
    this.#pollDirectives = {};
    return create(PollTasksResponseSchema, {
      ...directives,
      assigns: [...assigns, ...(directives.assigns ?? [])],
    });
  }

  #isIdle(): boolean {
    const hasWord = Object.keys(this.#pollDirectives).length > 0;
    return this.#ready.length === 0 && !hasWord && this.#pollMishaps.left === 0;
  }

  #something(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        patience.cancel();
        this.#wake.delete(done);
        resolve();
      };
      const patience = this.#clock.setTimer(waitMs, done);
      this.#wake.add(done);
    });
  }

  async report(request: ReportTaskRequest, cut: Cut): Promise<ReportTaskResponse> {
    const said = saidInReport(request);
    for (const each of said) this.said.push(each);
    const results = said.filter(isResult);
    if (results.length > 0) suffer(this.#reportMishaps, cut);
    const verdicts = results.map(
      (result): MessageInitShape<typeof VerdictSchema> => ({
        leaseId: result.leaseId,
        outcome: this.#verdictOf(result),
      }),
    );
    const directives = this.#reportDirectives;
    this.#reportDirectives = {};
    return create(ReportTaskResponseSchema, { ...directives, verdicts });
  }
}

function suffer(mishaps: Mishaps, cut: Cut): void {
  if (mishaps.left === 0) return;
  mishaps.left--;
  const { mishap } = mishaps;
  if (mishap === "cut") cut();
  const code = mishap === "cut" ? Code.Unavailable : mishap.code;
  throw new ConnectError("lost, as the play wants it", code);
}
