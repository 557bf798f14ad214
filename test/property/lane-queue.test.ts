/**
 * The fair queue against its model on random histories, and its two promises in numbers: sessions that always have
 * something to do get their share, and nothing waits for ever.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FairQueue } from "../../src/core/lane/fair-queue.ts";
import { type Flow, Ticket } from "../../src/core/lane/ticket.ts";
import type { TaskState } from "../../src/core/run/state.ts";
import { FairQueueModel } from "../support/fair-queue-model.ts";
import { readyTask, startedRun } from "../support/lane-tasks.ts";

const AGING_MS = 100;
/** Powers of two, so that sums of weights are exact in any order and model and queue round alike. */
const WEIGHTS: Readonly<Record<string, number>> = { half: 0.5, plain: 1, gold: 4 };
const weightOf = (namespace: string): number => WEIGHTS[namespace] ?? 1;

const wishes = fc.record({
  namespace: fc.constantFrom("half", "plain", "gold"),
  session: fc.option(fc.constantFrom("a", "b", "c"), { nil: undefined }),
  priority: fc.integer({ min: -2, max: 2 }),
  tasks: fc.array(
    fc.record({
      cost: fc.integer({ min: 1, max: 7 }),
      remainingMs: fc.integer({ min: 0, max: 3 }),
      priority: fc.integer({ min: 0, max: 1 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});

const operations = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("push" as const), wish: wishes }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("take" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("park" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unpark" as const) }) },
);

describe("FairQueue", () => {
  it("does what the model does, whatever happens", () => {
    fc.assert(
      fc.property(
        fc.array(operations, { maxLength: 120, size: "max" }),
        fc.integer({ min: 1, max: 90 }),
        (history, paceMs) => {
          const queue = new FairQueue(AGING_MS, weightOf);
          const model = new FairQueueModel(AGING_MS, weightOf);
          const inside = new Map<TaskState, Ticket>();
          const parking = new Set<Flow>();
          history.forEach((operation, turn) => {
            const at = turn * paceMs;
            if (operation.kind === "push") {
              const { session, ...wish } = operation.wish;
              for (const task of startedRun({ at, ...wish, ...(session && { session }) }).tasks) {
                const ticket = new Ticket(task, "queued", "default");
                inside.set(task, ticket);
                queue.push(ticket, at);
                model.push(task, at);
              }
            } else if (operation.kind === "take") {
              const taken = queue.take(at);
              expect(taken?.task).toBe(model.take(at));
              if (taken !== undefined) expect(inside.delete(taken.task)).toBe(true);
            } else if (operation.kind === "remove" && inside.size > 0) {
              const [task, ticket] = [...inside][operation.pick % inside.size] as [
                TaskState,
                Ticket,
              ];
              inside.delete(task);
              queue.remove(ticket);
              model.remove(task);
            } else if (operation.kind === "park") {
              const head = queue.peek();
              if (head !== undefined) queue.park(head, parking);
              model.parkHead();
            } else if (operation.kind === "unpark") {
              for (const flow of [...parking]) queue.unpark(flow);
              model.unparkAll();
            }
            expect(queue.peek()?.task).toBe(model.peek());
            expect(queue.oldest?.task).toBe(model.oldest);
            expect([queue.size, model.size]).toEqual([inside.size, inside.size]);
          });
        },
      ),
      { numRuns: 400, seed: 1 },
    );
  });

  it("shares between two busy sessions within one task of each, whatever others do", () => {
    const costMax = 9;
    const traffic = fc.array(
      fc.record({ session: fc.nat({ max: 20 }), cost: fc.integer({ min: 1, max: costMax }) }),
      {
        minLength: 20,
        maxLength: 300,
        size: "max",
      },
    );
    const names = fc.constantFrom("half", "plain", "gold");
    fc.assert(
      fc.property(
        names,
        names,
        traffic,
        fc.infiniteStream(fc.integer({ min: 1, max: costMax })),
        (x, y, others, costs) => {
          const queue = new FairQueue(AGING_MS, weightOf);
          const push = (namespace: string, session: string, cost: number): void =>
            queue.push(new Ticket(readyTask({ namespace, session, cost }), "queued", "default"), 0);
          const nextCost = (): number => costs.next().value as number;
          const served = { x: 0, y: 0 };
          const gaps: number[] = [];
          // Two each, so that neither is ever without one.
          for (const session of ["x", "x", "y", "y"]) {
            push(session === "x" ? x : y, session, nextCost());
          }
          for (const other of others) {
            push("plain", `other${other.session}`, other.cost);
            const task = queue.take(0)?.task;
            const session = task?.run.request.sessionId;
            if (task !== undefined && (session === "x" || session === "y")) {
              const namespace = session === "x" ? x : y;
              served[session] += task.node.task.cost / weightOf(namespace);
              push(namespace, session, nextCost());
            }
            gaps.push(served.x - served.y);
          }
          // Goyal, Vin, Cheng, theorem 1: at most the largest task of each, by weight.
          const bound = costMax / weightOf(x) + costMax / weightOf(y) + 1e-9;
          expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(2 * bound);
          expect(Math.max(...gaps.map(Math.abs))).toBeLessThanOrEqual(bound);
        },
      ),
      { numRuns: 150, seed: 1 },
    );
  });

  it("starts every task within a bound that the size of the queue sets, whoever keeps coming", () => {
    const capacity = 20;
    const priorityMax = 3;
    const arrivals = fc.record({
      priority: fc.integer({ min: 0, max: priorityMax }),
      fresh: fc.boolean(),
      remainingMs: fc.integer({ min: 0, max: 1_000_000 }),
    });
    fc.assert(
      fc.property(
        fc.infiniteStream(arrivals),
        fc.integer({ min: 1, max: AGING_MS }),
        fc.nat({ max: 3 }),
        (stream, paceMs, ahead) => {
          const queue = new FairQueue(AGING_MS, weightOf);
          const push = (at: number): void => {
            const { fresh, ...wish } = stream.next().value as {
              fresh: boolean;
              priority: number;
              remainingMs: number;
            };
            const session = fresh ? `fresh${at}` : "regular";
            queue.push(new Ticket(readyTask({ at, session, ...wish }), "queued", "default"), at);
          };
          for (let n = 0; n < capacity - ahead - 1; n++) push(0);
          for (let n = 0; n < ahead; n++) {
            const task = readyTask({ session: "victim", remainingMs: 5 });
            queue.push(new Ticket(task, "queued", "default"), 0);
          }
          const victim = new Ticket(readyTask({ session: "victim" }), "queued", "default");
          queue.push(victim, 0);
          // Turns between two of the lowest priority, times the turns it may need among 20 waiting tickets of cost 1.
          const turnsOfLevel = (priorityMax * AGING_MS) / paceMs + priorityMax + 2;
          const bound = Math.ceil(turnsOfLevel * (ahead + 1) * (capacity + 1));
          let turn = 1;
          while (queue.take(turn * paceMs) !== victim) {
            push(turn * paceMs);
            turn++;
            expect(turn).toBeLessThanOrEqual(bound);
          }
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });
});
