/** Lanes whose tasks need room elsewhere: set aside while there is none, called back as it returns, none forgotten. */
import { expect, it } from "vitest";
import type { TaskState } from "../../../src/core/run/state.ts";
import type { Opening, Placement } from "../../../src/ports/placement.ts";
import { LaneBench } from "../../support/lane-bench.ts";

/** One kind of room, a number of places of it. */
class Room implements Placement {
  #free: number;
  #isMissed = false;

  constructor(places: number) {
    this.#free = places;
  }

  reserve(): string | undefined {
    this.#isMissed ||= this.#free === 0;
    if (this.#isMissed) return "room";
    this.#free--;
    return undefined;
  }

  release(): void {
    this.#free++;
  }

  workerOf(): undefined {
    return undefined;
  }

  openings(): readonly Opening[] {
    if (!this.#isMissed || this.#free === 0) return [];
    this.#isMissed = false;
    return [{ need: "room", room: this.#free }];
  }
}

it("starts everything in the end, never more at once than there is room for", () => {
  const room = new Room(3);
  const bench = new LaneBench([], {}, room);
  const tasks = Array.from({ length: 10 }, () => bench.offer());
  const started: TaskState[][] = [];
  for (let at = 1; at <= 4; at++) {
    const turn = bench.turn(at);
    started.push(turn);
    expect(bench.turn(at)).toEqual([]);
    for (const task of turn) {
      bench.end(task, at);
      room.release();
    }
  }
  expect(started.map((turn) => turn.length)).toEqual([3, 3, 3, 1]);
  expect(started.flat()).toEqual(tasks);
  bench.expectNoDivergence();
});

it("lets a task of another lane have the room that its own lane cannot use", () => {
  const room = new Room(1);
  const wish = { concurrency: 1, capacity: 100, overflow: { kind: "block" } } as const;
  const lanes = [
    { name: "a", ...wish },
    { name: "b", ...wish },
  ];
  const bench = new LaneBench(lanes, {}, room);
  const tasks = ["a", "b", "a", "b"].map((lane) => bench.offer({ lane }));
  const started: TaskState[] = [];
  for (let at = 1; at <= 4; at++) {
    const [task] = bench.turn(at);
    if (task === undefined) break;
    started.push(task);
    bench.end(task, at);
    room.release();
  }
  expect(new Set(started)).toEqual(new Set(tasks));
});

it("starts everything in the end when the lane has fewer slots than there is room", () => {
  const room = new Room(0);
  const bench = new LaneBench(
    [{ name: "narrow", concurrency: 1, capacity: 100, overflow: { kind: "block" } }],
    {},
    room,
  );
  const tasks = Array.from({ length: 10 }, () => bench.offer({ lane: "narrow" }));
  expect(bench.turn(0)).toEqual([]);
  for (let n = 0; n < 4; n++) room.release();
  const started: TaskState[] = [];
  for (let at = 1; at <= 10; at++) {
    const turn = bench.turn(at);
    started.push(...turn);
    for (const task of turn) {
      bench.end(task, at);
      room.release();
    }
  }
  expect(started).toEqual(tasks);
  bench.expectNoDivergence();
});
