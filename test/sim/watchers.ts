/**
 * Clients that watch runs: from the beginning or from anywhere, at once or slowly, to the end or until they have had
 * enough, and on from where they were when the daemon dies or cuts them off. Whatever they see must be the next event,
 * durable, as it was journaled; a gap is an answer only where history was trimmed.
 */
import type { RunId } from "../../src/base/ids.ts";
import type { WatchItem } from "../../src/engine/api.ts";
import type { Caller } from "./caller.ts";
import type { Draw } from "./definitions.ts";
import { isLast } from "./ledger.ts";
import type { SimulatedProcess } from "./process.ts";

interface Manner {
  readonly pauseMs: number;
  readonly patience: number;
}

export class Watchers {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Watches to the end of the run, or until it has had enough. */
  async watch(draw: Draw, runId: RunId, from?: number): Promise<void> {
    const { ledger } = this.#caller.deps;
    const known = ledger.runs.get(runId)?.durable ?? 0;
    const progress = { last: from ?? draw.upTo(known) };
    const manner = {
      pauseMs: draw.chance(0.3) ? 1 + draw.upTo(draw.chance(0.3) ? 5_000 : 200) : 0,
      patience: draw.chance(0.2) ? draw.upTo(30) : Number.POSITIVE_INFINITY,
    };
    for (let isOver = false; !isOver; ) {
      const isGone = ledger.runs.get(runId)?.fate !== "kept";
      const seen = await this.#caller.call({
        what: "watch",
        draw,
        runId,
        refusals: ["WATCHER_SLOW"],
        make: (process) => this.#follow(process, runId, progress, manner),
      });
      isOver = seen === true || isGone;
    }
  }

  /** True when there is no more to see. */
  async #follow(
    process: SimulatedProcess,
    runId: RunId,
    progress: { last: number },
    { pauseMs, patience }: Manner,
  ): Promise<boolean> {
    const { oracles, trace, sleep } = this.#caller.deps;
    const abort = new AbortController();
    const items = process.engine.watch(runId, progress.last, abort.signal)[Symbol.asyncIterator]();
    let seen = 0;
    for (;;) {
      const next: IteratorResult<WatchItem> = await process.call(items.next());
      if (next.done === true) {
        if (abort.signal.aborted || this.#isAtEnd(runId, progress.last)) return true;
        throw new Error(
          `watch of run ${runId} ended after ${progress.last}, before its last event`,
        );
      }
      const item = next.value;
      if (item.kind === "gap") this.#checkGap(runId, item.sequence, progress.last);
      else oracles.watched(runId, item.sequence, progress.last + 1, item.event);
      trace.note(`see ${runId.slice(-4)} ${item.sequence}`);
      progress.last = item.sequence;
      if (++seen > patience) abort.abort();
      if (pauseMs > 0) await process.call(sleep(pauseMs));
    }
  }

  #checkGap(runId: RunId, to: number, last: number): void {
    const { ledger, complain } = this.#caller.deps;
    const record = ledger.runs.get(runId);
    // What retention deletes while it is watched may still be in memory, and ends in a gap.
    if (record?.isTrimmed !== true && record?.fate === "kept") {
      complain(`watcher of ${runId}: a gap after ${last}, and nothing was trimmed`);
    }
    if (to <= last) complain(`watcher of ${runId}: a gap from ${last} back to ${to}`);
  }

  #isAtEnd(runId: RunId, last: number): boolean {
    const record = this.#caller.deps.ledger.runs.get(runId);
    return record !== undefined && (isLast(record.events[last - 1]) || record.fate !== "kept");
  }
}
