/**
 * Questions of tasks to the memory: asks, journals the answer, and only then passes it on, so that nobody acts on what a
 * later attempt would not be shown. A memory that is absent, broken or too slow is an empty answer with a note. Which
 * questions there are is the core's matter, how they are answered the memory's.
 */

import { FaultError, faultMessage } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import { MEMORY_LIMITS } from "../base/memory-limits.ts";
import type { Millis } from "../base/time.ts";
import type { Event } from "../core/run/message.ts";
import {
  type Recall,
  type RecallWish,
  type ShownMemory,
  TASK_QUESTION,
} from "../core/run/recall.ts";
import type { RunState, TaskState } from "../core/run/state.ts";
import {
  latestWished,
  memorySessionOf,
  recallOf,
  shownTo,
  wishOf,
} from "../core/run/task-memory.ts";
import type { Host } from "../ports/host.ts";
import type { TaskMemory } from "../ports/task-memory.ts";
import type { RunCommand, Unstamped } from "./shard.ts";

interface Deps {
  readonly memory: TaskMemory | undefined;
  readonly host: Pick<Host, "setTimer">;
  readonly ask: (
    runId: RunId,
    command: Unstamped<RunCommand>,
    done: (events: readonly Event[] | undefined) => void,
  ) => void;
}

type Answer = Pick<Recall, "memories" | "note">;

/** A task does not wait longer for the memory; an answer that comes later is nobody's. */
const PATIENCE_MS: Millis = 5_000;

const NO_MEMORY: Answer = { memories: [], note: "this daemon has no memory" };
const TOO_LONG: Answer = { memories: [], note: "the question is too long" };
const TOO_MANY: Answer = {
  memories: [],
  note: `a task may ask ${MEMORY_LIMITS.questions} different questions`,
};

export class Recalls {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /**
   * What the definition asks before an attempt. Calls back at once with the answer that an earlier attempt got, else when
   * the answer is durable, and never for an attempt that is over by then.
   */
  beforeAttempt(run: RunState, task: TaskState, done: () => void): void {
    if (shownTo(task) !== undefined) return done();
    const wish = wishOf(run, task);
    if ("problem" in wish) {
      return this.#journal(run, task, TASK_QUESTION, { memories: [], note: wish.problem }, done);
    }
    const { lease } = task;
    void this.#answer(run, wish.value, latestWished(run)).then((answer) => {
      if (task.lease === lease) this.#journal(run, task, TASK_QUESTION, answer, done);
    });
  }

  /** What an agent asks while it runs. Calls back once, with the durable answer, unless the attempt is over by then. */
  byAgent(run: RunState, task: TaskState, wish: RecallWish, done: (answer: Answer) => void): void {
    const { lease } = task;
    const question = JSON.stringify([wish.text, wish.limit, wish.filter ?? {}]);
    if (question.length > MEMORY_LIMITS.questionChars) return done(TOO_LONG);
    const known = recallOf(task, question);
    const answered = known === undefined ? this.#answer(run, wish, 0) : Promise.resolve(known);
    void answered.then((answer) => {
      if (task.lease !== lease) return;
      this.#journal(run, task, question, answer, () => done(recallOf(task, question) ?? TOO_MANY));
    });
  }

  /** Through the writer loop in any case, because a known answer too may not be durable yet. */
  #journal(run: RunState, task: TaskState, question: string, answer: Answer, done: () => void) {
    const { id, lease } = task;
    const recall: Recall = { question, ...bounded(answer) };
    this.#deps.ask(run.id, { type: "recall", task: id, lease, recall }, (events) => {
      if (events !== undefined) done();
    });
  }

  async #answer(run: RunState, wish: RecallWish, latest: number): Promise<Answer> {
    const { memory, host } = this.#deps;
    if (memory === undefined) return NO_MEMORY;
    const session = memorySessionOf(run);
    const leastStrength = run.plan.definition.memory?.forgetThreshold ?? 0;
    const late = Promise.withResolvers<Answer>();
    const timer = host.setTimer(PATIENCE_MS, () =>
      late.resolve({ memories: [], note: `the memory did not answer within ${PATIENCE_MS} ms` }),
    );
    try {
      const asked = memory.recall({ ...wish, session, latest, leastStrength });
      return await Promise.race([asked, late.promise]);
    } catch (error) {
      const why = error instanceof FaultError ? faultMessage(error.fault) : String(error);
      return { memories: [], note: `the memory failed: ${why}` };
    } finally {
      timer.cancel();
    }
  }
}

/** An answer that a journal and a message can hold. */
function bounded({ memories, note }: Answer): Answer {
  const { entries, entryChars, answerChars } = MEMORY_LIMITS;
  const shown: ShownMemory[] = [];
  let left: number = answerChars;
  for (const memory of memories.slice(0, entries)) {
    const text = cut(memory.text, entryChars);
    left -= text.length;
    if (left < 0) break;
    shown.push({ ...memory, text });
  }
  return { memories: shown, note: cut(note, 1_024) };
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
