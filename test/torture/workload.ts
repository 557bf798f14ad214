/**
 * Clients that keep books while their daemon dies again and again: each submits runs with idempotency keys, repeats
 * some submissions, cancels some runs, and watches every run to its end across as many lives as that takes, going on
 * from the last sequence it saw. Whatever the daemon acknowledged must hold in every later life; what does not is a
 * problem, in words. The clients never decide when somebody dies.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { RunState, type TaskEvent, TaskEventType } from "../../gen/goclaw/v1/run_pb.ts";
import type { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { prng } from "../../src/base/hash.ts";
import { problemsOf } from "../support/ledger.ts";

/** Works a moment, then writes one line per result, so that an attempt carried out twice shows. */
const WORKER = `
import { appendFileSync } from "node:fs";
export const worker = {
  name: "worker",
  async run(input, ctx) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    appendFileSync(process.env.LEDGER, ctx.runId + "/" + ctx.taskId + "/" + ctx.attempt + "\\n");
    return { n: input?.n ?? null };
  },
};
`;

/** A diamond: enough events for a snapshot and, where that is configured, for a trimmed history. */
export const SPEC = {
  name: "torture",
  tasks: [
    { id: "first", agent: "worker" },
    { id: "left", agent: "worker", deps: ["first"] },
    { id: "right", agent: "worker", deps: ["first"] },
    { id: "last", agent: "worker", deps: ["left", "right"] },
  ],
};
const TASKS = ["first", "last", "left", "right"];

const REPEATED = 0.1;
const CANCELLED = 0.05;
const COMPARED = 0.2;

/** What a daemon answers or a connection says when the daemon is on its way out or gone. */
const GONE: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Internal,
  Code.Aborted,
  Code.Unknown,
  Code.Canceled,
]);

/** Writes the agents of {@link SPEC} into a directory for a daemon. */
export function writeAgents(directory: string): void {
  mkdirSync(join(directory, "agents"), { recursive: true });
  writeFileSync(join(directory, "agents/worker.mjs"), WORKER);
}

/** One life of the daemon as a client sees it. */
export interface Life {
  readonly runs: Client<typeof RunService>;
  readonly ended: Promise<unknown>;
}

/** What the clients counted. */
export interface Books {
  acknowledged: number;
  repeated: number;
  cancelled: number;
  completed: number;
  events: number;
  /** Attempts that died with a daemon and were made again. */
  restarts: number;
  /** Announced gaps, where histories are trimmed. */
  gaps: number;
  /** Histories read again after their end and compared with what was seen live. */
  compared: number;
  lost: number;
  appliedTwice: number;
  resultsTwice: number;
  holes: number;
  readonly problems: string[];
  /** `run/task/attempt` of every result that was committed, to compare with what the agents wrote. */
  readonly results: string[];
}

export const newBooks = (): Books => ({
  acknowledged: 0,
  repeated: 0,
  cancelled: 0,
  completed: 0,
  events: 0,
  restarts: 0,
  gaps: 0,
  compared: 0,
  lost: 0,
  appliedTwice: 0,
  resultsTwice: 0,
  holes: 0,
  problems: [],
  results: [],
});

type Loss = "lost" | "appliedTwice" | "resultsTwice" | "holes";

export interface WorkloadOptions {
  readonly clients: number;
  readonly seed: number;
  /** The daemon deletes old events of open runs, so that an announced gap is legal. */
  readonly trims: boolean;
  /** Of the idempotency keys. Default `client-`. */
  readonly prefix?: string;
}

/** A number of clients at work. */
export class Workload {
  readonly books = newBooks();
  readonly #trims: boolean;
  #life = Promise.withResolvers<Life>();
  #isStopped = false;
  #acknowledgements = 0;
  #onAcknowledged: () => void = () => {};
  readonly #clients: Promise<void>[];

  constructor(options: WorkloadOptions) {
    const { clients, seed, trims, prefix = "client-" } = options;
    this.#trims = trims;
    this.#clients = Array.from({ length: clients }, (_, n) =>
      this.#work(`${prefix}${n}-`, prng(seed + n)),
    );
  }

  /** A daemon listens. */
  begin(life: Life): void {
    this.#life.resolve(life);
    void life.ended.then(() => {
      this.#life = Promise.withResolvers<Life>();
    });
  }

  /** Resolves after `count` further acknowledgements. */
  acknowledgements(count: number): Promise<void> {
    return new Promise((resolve) => {
      const target = this.#acknowledgements + count;
      this.#onAcknowledged = () => {
        if (this.#acknowledgements >= target) resolve();
      };
    });
  }

  /** Lets every client finish the run it watches; the daemon must stay. */
  async finish(): Promise<Books> {
    this.#isStopped = true;
    await Promise.all(this.#clients);
    return this.books;
  }

  async #work(prefix: string, random: () => number): Promise<void> {
    for (let n = 0; !this.#isStopped; n++) await this.#followOne(`${prefix}${n}`, random);
  }

  async #followOne(key: string, random: () => number): Promise<void> {
    const run = new FollowedRun(key, random() < CANCELLED);
    while (!run.isOver) {
      const { runs, ended } = await this.#life.promise;
      try {
        await this.#advance(run, runs, random);
      } catch (error) {
        if (!GONE.has(ConnectError.from(error).code)) {
          this.#report("lost", `${key} (${run.runId}): ${ConnectError.from(error).message}`);
          return;
        }
        // A daemon that was only slow is asked again.
        await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 200))]);
      }
    }
    this.#account(run);
  }

  async #advance(
    run: FollowedRun,
    runs: Client<typeof RunService>,
    random: () => number,
  ): Promise<void> {
    const before = run.runId;
    if (before === undefined || random() < REPEATED) await this.#submit(run, runs);
    if (run.isToCancel && !run.isCancelled) await this.#cancel(run, runs);
    const after = run.lastSequence;
    for await (const { event } of runs.watchRun({
      runId: run.runId ?? "",
      afterSequence: BigInt(after),
    })) {
      if (event !== undefined) run.events.push(event);
    }
    if (run.isOver && !this.#trims && random() < COMPARED) await this.#compare(run, runs);
  }

  async #submit(run: FollowedRun, runs: Client<typeof RunService>): Promise<void> {
    const { runId } = await runs.startRun({
      run: { source: { case: "definition", value: SPEC.name }, idempotencyKey: run.key },
    });
    if (run.runId === undefined) this.books.acknowledged++;
    else this.books.repeated++;
    if (run.runId !== undefined && run.runId !== runId) {
      this.#report("appliedTwice", `key ${run.key} started ${run.runId} and ${runId}`);
    }
    run.runId ??= runId;
    this.#acknowledgements++;
    this.#onAcknowledged();
  }

  async #cancel(run: FollowedRun, runs: Client<typeof RunService>): Promise<void> {
    run.mayBeCancelled = true;
    try {
      await runs.cancelRun({ runId: run.runId ?? "", reason: "torture" });
      run.isCancelled = true;
      this.books.cancelled++;
    } catch (error) {
      // It has ended: there is nothing to cancel.
      if (ConnectError.from(error).code !== Code.FailedPrecondition) throw error;
      run.isToCancel = false;
    }
  }

  /** What a watcher saw before a crash must be in the history after it. */
  async #compare(run: FollowedRun, runs: Client<typeof RunService>): Promise<void> {
    const again: string[] = [];
    for await (const { event } of runs.watchRun({ runId: run.runId ?? "" })) {
      if (event !== undefined) again.push(factOf(event));
    }
    this.books.compared++;
    const seen = run.events.map(factOf);
    if (JSON.stringify(again) !== JSON.stringify(seen)) {
      this.#report("lost", `${run.runId} was watched as ${seen} and reads ${again}`);
    }
  }

  #account(run: FollowedRun): void {
    const { events, key, runId } = run;
    const { books } = this;
    const gaps = events.filter(({ type }) => type === TaskEventType.GAP).length;
    books.events += events.length;
    books.gaps += gaps;
    books.restarts += events.filter(({ type }) => type === TaskEventType.TASK_RETRYING).length;
    if (gaps > 0 && !this.#trims) this.#report("holes", `${runId} has an unexpected gap`);
    for (const problem of problemsOf(events)) this.#report("holes", `${runId}: ${problem}`);
    const results = events.filter(({ type }) => type === TaskEventType.TASK_COMPLETED);
    for (const { taskId, attempt } of results) books.results.push(`${runId}/${taskId}/${attempt}`);
    const tasks = results.map(({ taskId }) => taskId).sort();
    if (new Set(tasks).size < tasks.length) {
      this.#report("resultsTwice", `${runId} completed ${tasks}`);
    }
    const end = events.at(-1)?.runState;
    if (end === RunState.COMPLETED) books.completed++;
    const isComplete = gaps > 0 || tasks.join() === TASKS.join();
    const isRight = run.isCancelled
      ? end === RunState.CANCELLED
      : end === RunState.COMPLETED && isComplete;
    if (!isRight && !(run.mayBeCancelled && end === RunState.CANCELLED)) {
      this.#report("lost", `${key} (${runId}) ended ${stateName(end)} with ${tasks}`);
    }
  }

  #report(kind: Loss, problem: string): void {
    this.books[kind]++;
    if (this.books.problems.length < 20) this.books.problems.push(`${kind}: ${problem}`);
  }
}

/** A run with everything its client knows about it. */
class FollowedRun {
  readonly key: string;
  runId: string | undefined;
  /** The client wants it cancelled; whether that was acknowledged says {@link isCancelled}. */
  isToCancel: boolean;
  isCancelled = false;
  /** It was asked for; a request without an answer may have been carried out. */
  mayBeCancelled = false;
  readonly events: TaskEvent[] = [];

  constructor(key: string, isToCancel: boolean) {
    this.key = key;
    this.isToCancel = isToCancel;
  }

  get lastSequence(): number {
    return Number(this.events.at(-1)?.sequence ?? 0n);
  }

  get isOver(): boolean {
    const end = this.events.at(-1)?.runState;
    return end === RunState.COMPLETED || end === RunState.FAILED || end === RunState.CANCELLED;
  }
}

function factOf({ sequence, type, taskId, attempt }: TaskEvent): string {
  return `${sequence} ${type} ${taskId} ${attempt}`;
}

function stateName(state: RunState | undefined): string {
  return Object.entries(RunState).find(([, value]) => value === state)?.[0] ?? "nowhere";
}
