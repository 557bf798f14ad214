/**
 * Between the engine and the memory: carries what successful tasks leave behind from committed events into the memory,
 * and answers questions of tasks. The journal is the backlog: a cursor says up to where everything was taken in, and what
 * a crash cuts off is read again after the next start. Taking something in twice is prevented by a mark per run in the
 * memory's own store, written in the same step. Answers wait for their turn, so they know everything that was handed over
 * before the question. It never fails a task: a memory that cannot write any more is a rejected question.
 */
import { Deque } from "../base/deque.ts";
import { type Fault, FaultError, fault, faultMessage, refuse } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { Millis } from "../base/time.ts";
import { searchText } from "../core/memory/entry.ts";
import type { MemoryOutcome, Recall, ShownMemory } from "../core/run/recall.ts";
import type { Host, TimerHandle } from "../ports/host.ts";
import type { CommitPage, Journal } from "../ports/journal.ts";
import type { CompletedTask, TaskMemory, TaskQuestion } from "../ports/task-memory.ts";
import type { Logger } from "../ports/telemetry.ts";
import type { MemorizeRequest, Praise, Remembered } from "./api.ts";
import type { MemoryHub } from "./hub.ts";

export interface TaskScribeDeps {
  readonly hub: Pick<
    MemoryHub,
    "memorizeUpTo" | "retrieve" | "latest" | "consumers" | "dropCursors"
  >;
  readonly journal: Pick<Journal, "commitsAfter" | "head" | "loadCursor" | "saveCursor">;
  readonly host: Pick<Host, "setTimer">;
  readonly log: Logger;
  /** Resolves when every event of the commits that are durable now has been handed to `committed`. */
  readonly passedOn: () => Promise<void>;
}

/** A successful task whose meaning for the memory is not taken in yet. */
interface Learned {
  readonly runId: RunId;
  readonly sequence: number;
  readonly event: CompletedTask;
}

type Item =
  | { readonly kind: "learned"; readonly learned: Learned }
  /** Everything of the commits up to here is in front of it. */
  | { readonly kind: "mark"; readonly cursor: bigint }
  | { readonly kind: "turn"; readonly come: () => void };

/** Name of the cursor in the journal. */
const CONSUMER = "memory";
/** Before the id of a run in the names of marks. */
const RUN_MARK = "run/";
const PAGE_RECORDS = 500;
/** The cursor is a synced write, and only spares work at the next start. */
const SAVE_EVERY_MS: Millis = 10_000;
/** Entries may name so many others that they come from. */
const PARENTS_MAX = 1_000;

export class TaskScribe implements TaskMemory {
  readonly #deps: TaskScribeDeps;
  readonly #queue = new Deque<Item>();
  #working: Promise<void> | undefined;
  #isCaughtUp = false;
  #failure: Fault | undefined;
  #saved: bigint | undefined;
  #timer: TimerHandle | undefined;
  #stopped: Promise<void> | undefined;
  /** Runs with marks: none of the first has had an item since the mark before the latest. */
  #resting = new Set<string>();
  #active = new Set<string>();

  constructor(deps: TaskScribeDeps) {
    this.#deps = deps;
  }

  /** Takes in what the last life left in the journal, then what was handed over since. Call once the journal is open. */
  async start(): Promise<void> {
    const { hub } = this.#deps;
    try {
      this.#saved = await this.#loadCursor();
      for (const name of await hub.consumers(RUN_MARK)) this.#resting.add(name);
      await this.#catchUp();
    } catch (error) {
      this.#fail(error);
    }
    this.#isCaughtUp = true;
    this.#wake();
    this.#arm();
  }

  /** Takes in what is there and saves how far it came. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#mark();
    await this.#turn();
  }

  committed(runId: RunId, sequence: number, event: CompletedTask): void {
    if (this.#failure === undefined)
      this.#add({ kind: "learned", learned: { runId, sequence, event } });
  }

  async recall(question: TaskQuestion): Promise<Pick<Recall, "memories" | "note">> {
    await this.#turn();
    if (this.#failure !== undefined) return refuse(this.#failure);
    const { hub } = this.#deps;
    const { session: sessionId, text, limit, filter, latest, leastStrength } = question;
    const metadata = filter === undefined ? {} : { filter: { metadata: filter } };
    const found =
      limit === 0
        ? { results: [], degraded: "" }
        : await hub.retrieve({ sessionId, text, limit, ...metadata });
    const recent = latest === 0 ? [] : await hub.latest(sessionId, latest);
    const shown = new Map<string, Remembered>();
    for (const one of [...found.results, ...recent]) {
      if (one.strength >= leastStrength && !shown.has(one.entry.id)) shown.set(one.entry.id, one);
    }
    return { memories: [...shown.values()].map(shownMemory), note: found.degraded };
  }

  #add(item: Item): void {
    this.#queue.push(item);
    this.#wake();
  }

  /** Resolves when everything that is in the queue now has been taken in. */
  #turn(): Promise<void> {
    if (this.#isCaughtUp && this.#queue.size === 0 && this.#working === undefined)
      return Promise.resolve();
    return new Promise((come) => this.#add({ kind: "turn", come }));
  }

  #wake(): void {
    if (!this.#isCaughtUp || this.#working !== undefined || this.#queue.size === 0) return;
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
      this.#wake();
    });
  }

  async #work(): Promise<void> {
    for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift()) {
      if (item.kind === "turn") item.come();
      else if (this.#failure === undefined) {
        try {
          await (item.kind === "mark" ? this.#save(item.cursor) : this.#takeIn(item.learned));
        } catch (error) {
          this.#fail(error);
        }
      }
    }
  }

  /** What the memory refuses for itself is lost to it and said so; a store that fails ends everything. */
  async #takeIn({ runId, sequence, event }: Learned): Promise<void> {
    const { memory, task } = event;
    if (memory === undefined) return;
    const mark = `${RUN_MARK}${runId}`;
    this.#resting.delete(mark);
    this.#active.add(mark);
    const praise: Praise = { sessionId: memory.session, ids: memory.used };
    const requests = requestsOf(runId, event, memory);
    try {
      await this.#deps.hub.memorizeUpTo(mark, BigInt(sequence), requests, praise);
    } catch (error) {
      if (!(error instanceof FaultError) || error.fault.code === "STORE_FAILED") throw error;
      const why = faultMessage(error.fault);
      this.#deps.log.warn({ runId, task }, `what the task left behind is not remembered: ${why}`);
    }
  }

  #fail(error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error);
    this.#failure ??=
      error instanceof FaultError
        ? error.fault
        : fault("STORE_FAILED", { operation: "remembering what tasks left behind", detail });
    this.#deps.log.error({ error: detail }, "tasks have no memory any more, until a restart");
  }

  /** As the journal's other consumers: one that is new begins before the oldest commit. */
  async #loadCursor(): Promise<bigint> {
    const { journal } = this.#deps;
    const known = await journal.loadCursor(CONSUMER);
    if (known !== undefined) return known;
    const oldest = await journal.commitsAfter(undefined, 1);
    const cursor = oldest === undefined ? journal.head() : oldest.cursor - 1n;
    await journal.saveCursor(CONSUMER, cursor);
    return cursor;
  }

  async #catchUp(): Promise<void> {
    const until = this.#deps.journal.head();
    let cursor = this.#saved;
    while (this.#failure === undefined && (cursor ?? 0n) < until) {
      const page = await this.#read(cursor);
      if (page === undefined) return;
      cursor = page.cursor;
      for (const { runId, firstSequence, events } of page.runs) {
        for (const [at, event] of events.entries()) {
          if (event.type !== "task_completed" || event.memory === undefined) continue;
          await this.#takeIn({ runId, sequence: firstSequence + at, event });
        }
      }
    }
  }

  async #read(cursor: bigint | undefined): Promise<CommitPage | undefined> {
    const { journal, log } = this.#deps;
    try {
      return await journal.commitsAfter(cursor, PAGE_RECORDS);
    } catch (error) {
      if (!(error instanceof FaultError) || error.fault.code !== "CURSOR_EXPIRED") throw error;
      log.error({ error }, "events were deleted before the memory had taken them in");
      return journal.commitsAfter(undefined, PAGE_RECORDS);
    }
  }

  #arm(): void {
    if (this.#stopped !== undefined) return;
    this.#timer = this.#deps.host.setTimer(SAVE_EVERY_MS, () => {
      void this.#mark().finally(() => this.#arm());
    });
  }

  /** Puts a mark behind everything that is durable now. Nothing is lost when it cannot: the next mark says more. */
  async #mark(): Promise<void> {
    const cursor = this.#deps.journal.head();
    if (cursor === this.#saved || this.#failure !== undefined) return;
    try {
      await this.#deps.passedOn();
      this.#add({ kind: "mark", cursor });
    } catch {
      // The engine is closed or its store failed.
    }
  }

  /**
   * Marks of runs are needed for events behind the saved cursor only. What came before the mark before this one is not
   * behind it; of what came since that is not known.
   */
  async #save(cursor: bigint): Promise<void> {
    const { hub, journal } = this.#deps;
    await journal.saveCursor(CONSUMER, cursor);
    this.#saved = cursor;
    await hub.dropCursors([...this.#resting]);
    this.#resting = this.#active;
    this.#active = new Set();
  }
}

function requestsOf(
  runId: RunId,
  { at: createdAt, task }: CompletedTask,
  { session: sessionId, agent, forgetThreshold: threshold, used, writes }: MemoryOutcome,
): readonly MemorizeRequest[] {
  const isThreshold = threshold !== undefined && threshold > 0 && threshold < 1;
  const forgetting = isThreshold ? { forgetThreshold: threshold } : {};
  const provenance = { runId, taskId: task, agent, parents: used.slice(0, PARENTS_MAX) };
  return writes.map(({ content, kind, metadata, importance }) => ({
    sessionId,
    // A task of one run: its entries are neighbours, those of other runs are not.
    taskId: `${runId}/${task}`,
    content: { text: content },
    kind,
    metadata,
    importance,
    createdAt,
    provenance,
    ...forgetting,
  }));
}

function shownMemory({ entry, strength }: Remembered): ShownMemory {
  const { id, kind } = entry;
  return { id, kind, text: searchText(entry), strength };
}
