/**
 * What every event bus promises, as tests. An adapter passes by handing in a way to make a bus and to listen behind it.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BusMessage, EventBus } from "../../src/ports/bus.ts";

/** A new bus, not open yet, and the other end of it. */
export interface BusFixture {
  readonly bus: EventBus;
  /** Listens under a subject pattern from now on; the bus is open. */
  listen(pattern: string): Promise<BusEar>;
  end(): Promise<void>;
}

export interface BusEar {
  /** The next `count` messages, as soon as they are there. */
  take(count: number): Promise<readonly BusMessage[]>;
}

const RUNS = [
  "01J0000000000000000000000A",
  "01J0000000000000000000000B",
  "01J0000000000000000000000C",
];

function messagesOf(run: string, from: number, to: number, namespace = "default"): BusMessage[] {
  return Array.from({ length: to - from + 1 }, (_, at) => ({
    subject: `goclaw.v1.${namespace}.run.${run}.task_progress`,
    id: `${run}/${from + at}`,
    body: JSON.stringify({ sequence: from + at }),
  }));
}

/** Round robin over the lists. */
function interleaved(...lists: readonly BusMessage[][]): BusMessage[] {
  const longest = Math.max(...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, at) =>
    lists.map((list) => list[at]),
  ).flat() as BusMessage[];
}

export function describeBus(name: string, make: () => Promise<BusFixture>): void {
  describe(name, () => {
    const [A = "", B = "", C = ""] = RUNS;
    let fixture: BusFixture;
    let bus: EventBus;

    beforeEach(async () => {
      fixture = await make();
      ({ bus } = fixture);
    });

    afterEach(async () => {
      await bus.close();
      await fixture.end();
    });

    it("delivers subject, id and body unchanged", async () => {
      await bus.open();
      const ear = await fixture.listen("goclaw.v1.>");
      const sent: BusMessage[] = [
        {
          subject: `goclaw.v1.team-a.run.${A}.run_accepted`,
          id: `${A}/1`,
          body: '{"text":"é€😀\\n\\u0000"}',
        },
        { subject: `goclaw.v1._.run.${A}.run_completed`, id: `${A}/2`, body: "{}" },
      ];
      await bus.publish(sent);
      expect(await ear.take(2)).toEqual(sent);
    });

    it("keeps the order of each run, within and across calls", async () => {
      await bus.open();
      const ear = await fixture.listen("goclaw.v1.>");
      for (let from = 1; from <= 400; from += 100) {
        const lists = RUNS.map((run) => messagesOf(run, from, from + 99));
        await bus.publish(interleaved(...lists));
      }
      const taken = await ear.take(1_200);
      for (const run of RUNS) {
        const ids = taken.map(({ id }) => id).filter((id) => id.startsWith(run));
        expect(ids).toEqual(messagesOf(run, 1, 400).map(({ id }) => id));
      }
    });

    it("delivers under a pattern what matches it, and nothing else", async () => {
      await bus.open();
      const one = await fixture.listen(`goclaw.v1.*.run.${B}.>`);
      const other = await fixture.listen("goclaw.v1.red.run.*.task_progress");
      await bus.publish([
        ...messagesOf(A, 1, 2, "red"),
        ...messagesOf(B, 1, 2, "blue"),
        ...messagesOf(C, 1, 2, "blue"),
        ...messagesOf(B, 3, 3, "red"),
      ]);
      const ids = (messages: readonly BusMessage[]) => messages.map(({ id }) => id).toSorted();
      expect(ids(await one.take(3))).toEqual([`${B}/1`, `${B}/2`, `${B}/3`]);
      expect(ids(await other.take(3))).toEqual([`${A}/1`, `${A}/2`, `${B}/3`]);
    });

    it("takes a body of its longest length", async () => {
      await bus.open();
      const ear = await fixture.listen("goclaw.v1.>");
      const [message] = messagesOf(A, 1, 1);
      const body = "b".repeat(Math.min(bus.bodyMaxBytes ?? 1_000_000, 8_000_000));
      await bus.publish([{ ...message!, body }]);
      expect((await ear.take(1))[0]?.body.length).toBe(body.length);
    });

    it("accepts the same messages again and an empty list", async () => {
      await bus.open();
      const ear = await fixture.listen("goclaw.v1.>");
      await bus.publish([]);
      await bus.publish(messagesOf(A, 1, 3));
      await bus.publish(messagesOf(A, 1, 4));
      const ids: string[] = [];
      while (ids.at(-1) !== `${A}/4`) ids.push(...(await ear.take(1)).map(({ id }) => id));
      expect([...new Set(ids)]).toEqual([`${A}/1`, `${A}/2`, `${A}/3`, `${A}/4`]);
    });

    it("refuses to publish before it is open", async () => {
      await expect(bus.publish(messagesOf(A, 1, 1))).rejects.toThrow("not open");
      await bus.open();
      const ear = await fixture.listen("goclaw.v1.>");
      await bus.publish(messagesOf(B, 1, 1));
      expect((await ear.take(1))[0]?.id).toBe(`${B}/1`);
    });

    it("opens once however often it is asked to", async () => {
      await Promise.all([bus.open(), bus.open()]);
      await bus.open();
      const ear = await fixture.listen("goclaw.v1.>");
      await bus.publish(messagesOf(A, 1, 2));
      expect((await ear.take(2)).map(({ id }) => id)).toEqual([`${A}/1`, `${A}/2`]);
    });

    it("stays closed", async () => {
      await bus.open();
      await Promise.all([bus.close(), bus.close()]);
      await bus.close();
      await expect(bus.publish(messagesOf(A, 1, 1))).rejects.toThrow("not open");
      await expect(bus.open()).rejects.toThrow("closed");
    });

    it("can be closed before it was opened", async () => {
      await bus.close();
      await expect(bus.open()).rejects.toThrow("closed");
    });
  });
}

/** Messages as they come in, for fixtures. */
export class Inbox implements BusEar {
  readonly #messages: BusMessage[] = [];
  #onArrival: () => void = () => {};

  add(message: BusMessage): void {
    this.#messages.push(message);
    this.#onArrival();
  }

  async take(count: number): Promise<readonly BusMessage[]> {
    while (this.#messages.length < count) {
      await new Promise<void>((resolve) => {
        this.#onArrival = resolve;
      });
    }
    return this.#messages.splice(0, count);
  }
}
