/** How a worker's words are gathered into messages, and what a lost stream does to them. */
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  CapacitySchema,
  CompleteSchema,
  type WorkerMessage,
} from "../../../gen/goclaw/v1/worker_service_pb.ts";
import { Outbox } from "../../../src/sdk/worker-outbox.ts";

function outbox() {
  const deferred: (() => void)[] = [];
  const subject = new Outbox({ defer: (run) => void deferred.push(run) });
  subject.open(4 << 20);
  return { outbox: subject, deferred };
}

function everything(subject: Outbox): WorkerMessage[] {
  const messages: WorkerMessage[] = [];
  for (let next = subject.take(); next !== undefined; next = subject.take()) messages.push(next);
  return messages;
}

function complete(leaseId: string, bytes: number) {
  return { kind: "completes", value: create(CompleteSchema, { leaseId }), bytes } as const;
}

test("what is there leaves together, in its order", () => {
  const { outbox: subject } = outbox();
  subject.add({ kind: "acks", value: "a" });
  subject.add(complete("b", 10));
  subject.add({ kind: "acks", value: "c" });
  const [message, ...rest] = everything(subject);
  expect(rest).toEqual([]);
  expect(message?.acks).toEqual(["a", "c"]);
  expect(message?.completes.map(({ leaseId }) => leaseId)).toEqual(["b"]);
});

test("a message ends before it becomes large, and one entry always fits", () => {
  const { outbox: subject } = outbox();
  for (const bytes of [300_000, 300_000, 2 << 20, 1]) subject.add(complete("a", bytes));
  expect(everything(subject).map(({ completes }) => completes.length)).toEqual([1, 1, 1, 1]);
});

test("a message keeps the limit of the engine", () => {
  const { outbox: subject } = outbox();
  subject.open(1_000);
  for (let n = 0; n < 10; n++) subject.add(complete(`l${n}`, 120));
  expect(everything(subject).map(({ completes }) => completes.length)).toEqual([3, 3, 3, 1]);
});

test("very many leases beat in parts with one nonce, none at all in one", () => {
  const { outbox: subject } = outbox();
  const leases = Array.from({ length: 25_000 }, (_, n) => `01JD0000000000000000000000/task/${n}`);
  subject.beat(9n, leases);
  const beats = everything(subject).flatMap(({ beat }) => beat ?? []);
  expect(beats.length).toBeGreaterThan(1);
  expect(new Set(beats.map(({ nonce }) => nonce))).toEqual(new Set([9n]));
  expect(beats.flatMap((beat) => beat.leases)).toEqual(leases);
  subject.beat(10n, []);
  expect(everything(subject)).toMatchObject([{ beat: { nonce: 10n, leases: [] } }]);
});

test("whoever waits is woken once per turn", async () => {
  const { outbox: subject, deferred } = outbox();
  const filled = subject.filled();
  subject.add({ kind: "acks", value: "a" });
  subject.add({ kind: "acks", value: "b" });
  expect(deferred).toHaveLength(1);
  deferred[0]?.();
  await filled;
  expect(subject.take()?.acks).toEqual(["a", "b"]);
});

test("closed, it keeps everything back; a new stream gets what still holds", () => {
  const { outbox: subject } = outbox();
  subject.close();
  subject.add({ kind: "acks", value: "a" });
  subject.add({ kind: "capacity", value: create(CapacitySchema, { slots: { default: 3 } }) });
  subject.progress("a", { percent: 5 });
  expect(subject.take()).toBeUndefined();
  subject.reset();
  subject.open(4 << 20);
  expect(everything(subject)).toMatchObject([
    { acks: [], capacity: { slots: { default: 3 } }, progress: [{ leaseId: "a", percent: 5 }] },
  ]);
});
