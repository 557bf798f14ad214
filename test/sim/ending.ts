/**
 * How a simulation ends: the faults stop, and within bounded virtual time every run has ended, every client is served,
 * the event bus has everything, and nothing is left over: no timer, attempt, watcher, lease or queued task. Then a new
 * process must read the whole past back from the disk as it was.
 */
import { prng } from "../../src/base/hash.ts";
import { isTerminalTask } from "../../src/core/run/status.ts";
import type { World } from "./world.ts";

/** After the faults stop, this much virtual time and this many steps must do for everything. */
const CALM_MS = 2 * 86_400_000;
const CALM_STEPS = 300_000;
/** Steps in which nothing is due, while promises may still be on their way. */
const IDLE_STEPS = 1_000;

/** Goes on to the end of everything. */
export async function comeToTheEnd(world: World): Promise<void> {
  world.isCalm = true;
  world.bus.heal();
  // Agents that were missing come back with the next process.
  world.crash(prng(world.plan.seed));
  const ending = new Ending(world);
  await ending.until("every run ends and every client is served", () => ending.isOver);
  for (const { id, fate } of world.ledger.runs.values()) {
    if (fate === "kept") world.check(world.read(id));
  }
  await ending.until("every run can be read", () => ending.isOver);
  await ending.until("the event bus has everything", () => world.process.busLag === 0);
  await ending.until("no timer is left", () => world.process.host.timers === 0);
  if (world.violation !== undefined) return;
  ending.checkRest();
  // From the disk alone, everything must be as it was.
  world.check(world.process.stop());
  await ending.until("the process stops", () => world.checks === 0);
  world.checkLeaks(world.process);
  if (world.violation !== undefined) return;
  world.process.kill();
  world.succeed([]);
  await ending.until("the last process is ready", () => world.process.isReady);
  for (const { id, fate } of world.ledger.runs.values()) {
    if (fate === "kept") world.check(world.read(id));
  }
  world.check(ending.watchAll());
  await ending.until("every history is read", () => ending.isOver);
  world.clients.submitters.checkKeys();
}

class Ending {
  readonly #world: World;
  #idleSteps = 0;

  constructor(world: World) {
    this.#world = world;
  }

  get isOver(): boolean {
    const { process, clients, checks, ledger } = this.#world;
    return (
      process.isReady &&
      clients.doing.size === 0 &&
      checks === 0 &&
      process.engine.openRuns() === 0 &&
      ledger.open().length === 0 &&
      process.attempts.length === 0
    );
  }

  /** Steps until `isSo`; not getting there is a violation. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    const world = this.#world;
    const deadlineMs = world.schedule.elapsedMs + CALM_MS;
    for (let steps = 0; world.violation === undefined && !isSo(); steps++) {
      if (world.schedule.elapsedMs > deadlineMs || steps > CALM_STEPS) {
        return world.complain(`it never came to pass that ${what}; ${this.#standing()}`);
      }
      await world.step(() => {
        if (!world.schedule.runNext()) this.#idle(what);
      });
    }
  }

  /** Nothing is due: promises may still be on their way, but not for long. */
  #idle(what: string): void {
    if (++this.#idleSteps < IDLE_STEPS) return;
    this.#world.complain(`nothing happens any more before ${what}; ${this.#standing()}`);
  }

  /** What is still open, for a complaint. */
  #standing(): string {
    const { ledger, clients, process } = this.#world;
    const open = ledger.open().map((record) => {
      const run = ledger.fold(record, record.durable);
      const tasks = run.tasks.filter(({ status }) => !isTerminalTask(status));
      const words = tasks.map(({ id, status, lease, lane }) => `${id} ${status}/${lease} ${lane}`);
      return `${run.id.slice(-4)} ${run.status} (${words.join(", ")})`;
    });
    const busy = [...clients.doing.values()].join(", ");
    const { isReady, attempts, busLag } = process;
    return `runs: ${open.join("; ")}; clients: ${busy}; attempts: ${attempts.join()}; bus: ${busLag}; ready: ${isReady}`;
  }

  /** Nothing is going on: what is there now has leaked. */
  checkRest(): void {
    const world = this.#world;
    const { awaitedEnds } = world.clients.submitters;
    world.checkLeaks(world.process);
    if (awaitedEnds > 0) world.complain(`${awaitedEnds} ends of runs were never told`);
    if (world.oracles.lanes.occupied !== 0) world.complain("leases are left over");
    for (const { name, occupied, queued, blocked } of world.process.engine.lanes()) {
      if (occupied + queued + blocked === 0) continue;
      world.complain(`lane ${name} is not empty: ${occupied} + ${queued} + ${blocked}`);
    }
    if (!world.plan.faults.bus.isConfigured) return;
    for (const { id, durable } of world.ledger.runs.values()) {
      const accepted = world.bus.acceptedOf(id);
      if (accepted !== durable)
        world.complain(`the bus has ${accepted} of ${durable} of run ${id}`);
    }
  }

  /** Every history, read back from the disk. */
  async watchAll(): Promise<void> {
    const { process, ledger, oracles } = this.#world;
    for (const { id, events, fate, isTrimmed } of ledger.runs.values()) {
      if (fate !== "kept") continue;
      let last = 0;
      for await (const item of process.engine.watch(id, 0)) {
        if (item.kind === "event") oracles.watched(id, item.sequence, last + 1, item.event);
        else if (!isTrimmed) this.#world.complain(`run ${id} has a gap`);
        last = item.sequence;
      }
      if (last !== events.length) {
        this.#world.complain(`run ${id} has ${last} of ${events.length} events`);
      }
    }
  }
}
