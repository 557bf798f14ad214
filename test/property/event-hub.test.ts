import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FaultError } from "../../src/base/fault.ts";
import { EventHub } from "../../src/events/hub.ts";
import { STALLED_AFTER_PAGES } from "../../src/events/watcher.ts";
import { NullMetrics } from "../support/metrics.ts";
import { FakeJournal, historyOf, runIdOf } from "../support/run-events.ts";

const RUN = runIdOf(1);
const BUFFER_BYTES = 300;

/** One step of the world: the engine commits events, a reader may take some, the journal answers what it was asked. */
type Step =
  | { readonly kind: "commit"; readonly sizes: readonly number[]; readonly times: number }
  | { readonly kind: "take"; readonly reader: number; readonly count: number }
  | { readonly kind: "answer" };

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant("commit" as const),
      sizes: fc.array(fc.constantFrom(0, 100, 900, 5_000), { minLength: 1, maxLength: 4 }),
      // Now and then more commits than a reader may stand still for.
      times: fc.constantFrom(1, 1, STALLED_AFTER_PAGES + 2),
    }),
    fc.record({
      kind: fc.constant("take" as const),
      reader: fc.nat(2),
      count: fc.integer({ min: 1, max: 9 }),
    }),
    fc.constant({ kind: "answer" as const }),
  ),
  { maxLength: 40 },
);

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Something to wait at until enough permits were given. */
class Gate {
  #permits = 0;
  #waiting: (() => void)[] = [];

  give(permits: number): void {
    this.#permits += permits;
    while (this.#permits > 0 && this.#waiting.length > 0) {
      this.#permits--;
      this.#waiting.shift()?.();
    }
  }

  pass(): Promise<void> {
    if (this.#permits > 0) {
      this.#permits--;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Watches until the end, resuming after every cut-off; notes every sequence it gets and every cursor it is told. */
async function read(hub: EventHub, after: number, gate: Gate, ended: () => boolean) {
  const taken: number[] = [];
  const cutOffs: { told: number; last: number }[] = [];
  for (let last = after; ; ) {
    try {
      for await (const { sequence } of hub.watch(RUN, last, () => ({
        sequence: 0,
        ended: ended(),
      }))) {
        taken.push(sequence);
        last = sequence;
        await gate.pass();
      }
      return { taken, cutOffs };
    } catch (error) {
      if (!(error instanceof FaultError) || error.fault.code !== "WATCHER_SLOW") throw error;
      cutOffs.push({ told: error.fault.lastSequence, last });
    }
  }
}

describe("EventHub", () => {
  it("gives each reader every event once and in order, or a cut-off with the right cursor", async () => {
    let cutOffs = 0;
    await fc.assert(
      fc.asyncProperty(steps, fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3)), async (script, afters) => {
        const journal = new FakeJournal();
        const answers = new Gate();
        journal.pageEvents = 3;
        journal.pause = () => answers.pass();
        const hub = new EventHub(
          { bufferBytes: BUFFER_BYTES },
          { journal, metrics: new NullMetrics() },
        );
        let ended = false;
        const commit = (sizes: readonly number[]): void => {
          const events = sizes.flatMap((noteChars) => historyOf(3, { noteChars }).slice(1, 2));
          for (const page of journal.commit({ runId: RUN, events })) hub.publish(page);
        };

        const gates = afters.map(() => new Gate());
        const readers = afters.map((after, at) =>
          read(hub, after, gates[at] ?? new Gate(), () => ended),
        );
        for (const step of script) {
          if (step.kind === "commit") {
            for (let left = step.times; left > 0; left--) commit(step.sizes);
          } else if (step.kind === "take") gates[step.reader]?.give(step.count);
          else answers.give(1);
          await settle();
        }
        commit([0, 0, 0]);
        for (const page of journal.commit({ runId: RUN, events: historyOf(2).slice(1) }))
          hub.publish(page);
        ended = true;
        for (const gate of [answers, ...gates]) gate.give(100_000);

        const length = journal.eventsOf(RUN).length;
        for (const [at, result] of (await Promise.all(readers)).entries()) {
          const after = afters[at] ?? 0;
          expect(result.taken).toEqual(
            Array.from({ length: length - after }, (_, n) => after + 1 + n),
          );
          for (const { told, last } of result.cutOffs) expect(told).toBe(last);
          cutOffs += result.cutOffs.length;
        }
        expect(hub.watchers).toBe(0);
      }),
      { numRuns: 300, seed: 20_260_101 },
    );
    expect(cutOffs).toBeGreaterThan(20);
  });
});
