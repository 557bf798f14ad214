/** The order in which tasks leave a queue, rule by rule; the property test compares whole histories with a model. */
import { describe, expect, it } from "vitest";
import { FairQueue } from "../../../../src/core/lane/fair-queue.ts";
import { type Flow, Ticket } from "../../../../src/core/lane/ticket.ts";
import { type RunWish, readyTask, startedRun, type TaskWish } from "../../../support/lane-tasks.ts";

const AGING_MS = 1_000;

class Bench {
  readonly queue: FairQueue;
  readonly names = new Map<Ticket, string>();

  constructor(weights: Record<string, number> = {}) {
    this.queue = new FairQueue(AGING_MS, (namespace) => weights[namespace] ?? 1);
  }

  push(name: string, wish: TaskWish & Omit<RunWish, "tasks" | "priority"> = {}, at = 0): Ticket {
    const ticket = new Ticket(readyTask(wish), "queued", "default");
    this.names.set(ticket, name);
    this.queue.push(ticket, at);
    return ticket;
  }

  take(at = 0): string | undefined {
    const ticket = this.queue.take(at);
    return ticket && this.names.get(ticket);
  }

  takeAll(at = 0): string[] {
    const names: string[] = [];
    for (let name = this.take(at); name !== undefined; name = this.take(at)) names.push(name);
    return names;
  }
}

describe("order inside a flow", () => {
  it("prefers the longest remaining path, then the older run, then the position in the run", () => {
    const bench = new Bench();
    bench.push("young", { at: 20 });
    bench.push("old", { at: 10 });
    bench.push("long", { at: 30, remainingMs: 50 });
    const [first, second] = startedRun({ at: 10, tasks: [{}, {}] }).tasks;
    for (const task of [second, first]) {
      if (task === undefined) throw new Error("two tasks");
      const ticket = new Ticket(task, "queued", "default");
      bench.names.set(ticket, task.id);
      bench.queue.push(ticket, 0);
    }
    expect(bench.takeAll()).toEqual(["long", "old", "t0", "t1", "young"]);
  });

  it("lets no path, however long, pass a run of an earlier ageing interval", () => {
    const bench = new Bench();
    bench.push("long but new", { at: AGING_MS, remainingMs: 1e9 });
    bench.push("old", { at: AGING_MS - 1 });
    expect(bench.takeAll()).toEqual(["old", "long but new"]);
  });
});

describe("a run that sleeps", () => {
  it("keeps its place, and wakes when its task is asked for", () => {
    const bench = new Bench();
    const run = startedRun({ at: 15, tasks: [{}, {}] });
    const tickets = run.tasks.map((task) => new Ticket(task, "queued", "default"));
    for (const ticket of tickets) bench.queue.push(ticket, 0);
    bench.push("young", { at: 20 });
    bench.push("old", { at: 10 });
    let woken = 0;
    const sleeper = {
      id: run.id,
      acceptedAt: run.acceptedAt,
      wake: (): void => {
        woken++;
        for (const [place, ticket] of tickets.entries()) {
          const task = run.tasks[place];
          if (task !== undefined) ticket.rejoin(task);
        }
      },
    };
    for (const ticket of tickets) ticket.part(sleeper);
    bench.push("older in the run's interval", { at: 14 });
    expect([bench.take(), bench.take()]).toEqual(["old", "older in the run's interval"]);
    expect(bench.queue.take(0)).toBe(tickets[0]);
    expect(woken).toBe(0);
    expect(tickets[1]?.task).toBe(run.tasks[1]);
    expect(tickets[0]?.task).toBe(run.tasks[0]);
    expect(woken).toBe(1);
    expect(run.tasks.map(({ place }) => place)).toEqual(tickets);
    expect(bench.queue.take(0)).toBe(tickets[1]);
  });
});

describe("priorities", () => {
  it("adds the priority of the run to that of the task; high goes first", () => {
    const bench = new Bench();
    bench.push("low", { priority: -1 });
    bench.push("none");
    const [task] = startedRun({ priority: 5, tasks: [{ priority: -3 }] }).tasks;
    if (task === undefined) throw new Error("one task");
    const ticket = new Ticket(task, "queued", "default");
    bench.names.set(ticket, "5 - 3");
    bench.queue.push(ticket, 0);
    bench.push("one", { priority: 1 });
    expect(bench.takeAll()).toEqual(["5 - 3", "one", "none", "low"]);
  });

  it("gives a priority that is passed over one step per interval, for one task", () => {
    const bench = new Bench();
    for (let n = 0; n < 3; n++) bench.push("low", {}, 0);
    const taken: string[] = [];
    for (let at = 0; at <= 6_000; at += 500) {
      bench.push("high", { priority: 2 }, at);
      taken.push(bench.take(at) ?? "none");
    }
    // A step is 1,000 ms and the distance is 2: after more than 2,000 ms without a turn the low one goes first.
    expect(
      taken
        .map((name, n) => (name === "low" ? n * 500 : undefined))
        .filter((at) => at !== undefined),
    ).toEqual([2_500, 5_500]);
  });

  it("does not let a flood that has aged outrank newcomers of its own or a higher priority", () => {
    const bench = new Bench();
    for (let n = 0; n < 10; n++) bench.push("flood", { session: "flood" }, 0);
    expect(bench.take(10_000)).toBe("flood");
    bench.push("newcomer", { session: "new" }, 10_001);
    bench.push("urgent", { session: "urgent", priority: 1 }, 10_001);
    const taken = [1, 2, 3].map(() => bench.take(10_001));
    expect(taken[0]).toBe("urgent");
    expect(taken.slice(1)).toContain("newcomer");
  });
});

describe("fairness", () => {
  it("alternates between a flood and a newcomer", () => {
    const bench = new Bench();
    for (let n = 0; n < 100; n++) bench.push("flood", { session: "flood" });
    for (let n = 0; n < 50; n++) bench.take();
    for (let n = 0; n < 5; n++) bench.push("late", { session: "late" });
    const taken = Array.from({ length: 10 }, () => bench.take());
    expect(taken.filter((name) => name === "late")).toHaveLength(5);
  });

  it("charges cost: who takes three slots at once starts a third as often", () => {
    const bench = new Bench();
    for (let n = 0; n < 40; n++) bench.push("wide", { session: "wide", cost: 3 });
    for (let n = 0; n < 40; n++) bench.push("narrow", { session: "narrow" });
    const taken = Array.from({ length: 40 }, () => bench.take());
    expect(taken.filter((name) => name === "wide")).toHaveLength(10);
  });

  it("shares by weight", () => {
    const bench = new Bench({ gold: 3 });
    for (let n = 0; n < 60; n++) bench.push("gold", { namespace: "gold" });
    for (let n = 0; n < 60; n++) bench.push("plain", { namespace: "plain" });
    const taken = Array.from({ length: 60 }, () => bench.take());
    expect(taken.filter((name) => name === "gold")).toHaveLength(45);
  });

  it("remembers a session that left early, so that coming and going wins nothing", () => {
    const bench = new Bench();
    for (let n = 0; n < 20; n++) bench.push("steady", { session: "steady" });
    let hops = 0;
    bench.push("hopper", { session: "hopper" });
    for (let n = 0; n < 20; n++) {
      if (bench.take() !== "hopper") continue;
      hops++;
      bench.push("hopper", { session: "hopper" });
    }
    expect(hops).toBe(10);
  });

  it("does not let an endless stream of new sessions hold back an old one", () => {
    const bench = new Bench();
    for (let n = 0; n < 2; n++) bench.push("old", { session: "old" });
    expect(bench.take()).toBe("old");
    let waited = 0;
    for (bench.push("new", { session: "s0" }); bench.take() !== "old"; waited++) {
      bench.push("new", { session: `s${waited + 1}`, remainingMs: 9 });
      expect(waited).toBeLessThan(10);
    }
  });

  it("tells sessions of two namespaces apart", () => {
    const bench = new Bench();
    for (let n = 0; n < 4; n++) bench.push("x", { session: "s", namespace: "x" });
    for (let n = 0; n < 4; n++) bench.push("y", { session: "s", namespace: "y" });
    const taken = Array.from({ length: 4 }, () => bench.take());
    expect(taken.filter((name) => name === "y")).toHaveLength(2);
  });
});

describe("leaving", () => {
  it("removes any ticket, and knows the oldest that is left", () => {
    const bench = new Bench();
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) =>
      bench.push(name, { session: name === "d" ? "d" : "s" }),
    );
    if (!a || !b || !c || !d) throw new Error("four tickets");
    expect(bench.queue.oldest).toBe(a);
    bench.queue.remove(a);
    expect(bench.queue.oldest).toBe(b);
    bench.queue.remove(c);
    expect(bench.queue.size).toBe(2);
    expect(bench.takeAll().sort()).toEqual(["b", "d"]);
    expect(bench.queue.oldest).toBeUndefined();
    expect(bench.queue.take(0)).toBeUndefined();
  });

  it("forgets an empty session: it starts like a new one", () => {
    const bench = new Bench();
    const only = bench.push("only", { session: "s" });
    bench.push("other", { session: "o" });
    bench.queue.remove(only);
    bench.push("again", { session: "s", remainingMs: 5 });
    expect(bench.takeAll()).toEqual(["again", "other"]);
  });
});

describe("parking", () => {
  it("hides the session of the head until it is unparked, with all its tickets", () => {
    const bench = new Bench();
    const parking = new Set<Flow>();
    const head = bench.push("a", { session: "s", remainingMs: 9 });
    bench.push("b", { session: "s" });
    bench.push("c", { session: "t" });
    bench.queue.park(head, parking);
    bench.push("d", { session: "s", remainingMs: 99 });
    expect(bench.queue.size).toBe(4);
    expect(bench.takeAll()).toEqual(["c"]);
    for (const flow of parking) bench.queue.unpark(flow);
    expect(parking.size).toBe(0);
    expect(bench.takeAll()).toEqual(["d", "a", "b"]);
  });

  it("forgets a parked session whose tickets have all left", () => {
    const bench = new Bench();
    const parking = new Set<Flow>();
    const head = bench.push("a", { session: "s" });
    const rest = bench.push("b", { session: "s" });
    bench.queue.park(head, parking);
    bench.queue.remove(rest);
    bench.queue.remove(head);
    expect(parking.size).toBe(0);
    expect(bench.queue.size).toBe(0);
    bench.push("c", { session: "s" });
    expect(bench.takeAll()).toEqual(["c"]);
  });

  it("gives a session no credit for the time it was parked", () => {
    const bench = new Bench();
    const parking = new Set<Flow>();
    const head = bench.push("parked", { session: "s", remainingMs: 9 });
    for (let n = 0; n < 9; n++) bench.push("parked", { session: "s" });
    for (let n = 0; n < 40; n++) bench.push("other", { session: "t" });
    bench.queue.park(head, parking);
    for (let n = 0; n < 20; n++) bench.take();
    for (const flow of parking) bench.queue.unpark(flow);
    const taken = Array.from({ length: 10 }, () => bench.take());
    expect(taken.filter((name) => name === "parked")).toHaveLength(5);
  });
});
