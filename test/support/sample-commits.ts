/**
 * A fixed series of commits that has everything a journal can hold: every event type with every optional field, both
 * kinds of payload, large ones, finished and open runs, an idempotency key, definitions. Golden journals are made of it,
 * so what is here is only added to.
 */
import type { Event } from "../../src/core/run/message.ts";
import type { Commit } from "../../src/ports/journal.ts";
import { commitOf, eventsOf, runIdAt } from "./journal-fixture.ts";

const at = 1_764_000_000_000.5;
const task = "analyze[3]";
const text = { json: '{"name":"Zoë","n":1}' };
const bytes = { mediaType: "image/png", bytes: Uint8Array.of(0, 1, 127, 128, 255) };

/** One of each type; they mean nothing together. */
export const SAMPLE_EVENTS: readonly Event[] = [
  {
    type: "run_accepted",
    at,
    definition: "0123456789abcdef".repeat(4),
    name: "customer_support",
    request: {
      input: text,
      namespace: "default",
      sessionId: "session 7",
      priority: -3,
      deadlineMs: 60_000,
      labels: { team: "blue", "": "empty key" },
      traceId: "0af7651916cd43dd8448eb211c80319c",
    },
    idempotency: { key: "order-4711", fingerprint: "ffee" },
  },
  { type: "run_started", at },
  { type: "task_scheduled", at, task, lane: "cpu" },
  { type: "task_scheduled", at, task, lane: "io", redirectedFrom: "gpu" },
  { type: "task_started", at, task, attempt: 1 },
  { type: "task_progress", at, task, attempt: 1, percent: 12.5, note: "half way — almost" },
  { type: "task_checkpointed", at, task, attempt: 1, data: Uint8Array.of() },
  { type: "task_completed", at, task, attempt: 300, output: bytes },
  { type: "task_completed", at, task: "group", attempt: 0 },
  {
    type: "task_retrying",
    at,
    task,
    attempt: 2,
    reason: "HEARTBEAT_LOST",
    message: "silent for 10 s",
    dueAt: at + 200,
    input: text,
    counted: true,
    stopGraceMs: 0,
  },
  {
    type: "task_retrying",
    at,
    task,
    attempt: 2,
    reason: "WORKER_LOST",
    message: "",
    dueAt: 0,
    counted: false,
  },
  {
    type: "task_failed",
    at,
    task,
    attempt: 4,
    reason: "AGENT_ERROR",
    message: "boom",
    stopGraceMs: 5_000,
  },
  { type: "task_cancelled", at, task, reason: "CANCELLED_BY_USER", message: "", stopGraceMs: 1 },
  { type: "task_skipped", at, task, reason: "CONDITION_FALSE" },
  { type: "task_expanded", at, task: "analyze", items: [text, bytes, { json: "null" }] },
  { type: "task_expanded", at, task: "analyze", items: [] },
  { type: "task_waiting", at, task, note: "for Ann" },
  { type: "task_resumed", at, task },
  { type: "task_stopping", at, task, attempt: 1, signal: "s-1", graceMs: 250 },
  { type: "lease_ended", at, task, attempt: 1 },
  { type: "task_started", at, task, attempt: 2, lease: 3, worker: "w-1" },
  { type: "task_returned", at, task, attempt: 2 },
  { type: "task_deeds", at, task, attempt: 2, deeds: [{ name: "mail", value: text }] },
  {
    type: "task_recalled",
    at,
    task,
    attempt: 2,
    recall: {
      question: "",
      memories: [{ id: "01J0000000000000000000000A", kind: "note", text: "tea", strength: 0.5 }],
      note: "",
    },
  },
  {
    type: "signal_accepted",
    at,
    task,
    signal: "s-2",
    content: { kind: "steer", payload: bytes, text: "left" },
  },
  {
    type: "signal_accepted",
    at,
    task,
    signal: "s-3",
    content: { kind: "interrupt", reason: "newer input", graceMs: 100, replaceWith: text },
  },
  {
    type: "signal_accepted",
    at,
    task,
    signal: "s-4",
    content: {
      kind: "collect",
      tasks: ["a", "b"],
      mode: { kind: "quorum", count: 1 },
      deadlineMs: 9_000,
    },
  },
  {
    type: "signal_accepted",
    at,
    task,
    signal: "s-5",
    content: { kind: "collect", tasks: [], mode: { kind: "all" } },
  },
  {
    type: "signal_accepted",
    at,
    task,
    signal: "s-6",
    content: { kind: "collect", tasks: ["a"], mode: { kind: "any" } },
  },
  {
    type: "signal_receipt",
    at,
    task,
    signal: "s-2",
    receipt: "refused",
    attempt: 0,
    reason: "the task has ended",
  },
  { type: "signal_collected", at, task, signal: "s-4", finished: ["a"], missing: ["b"] },
  {
    type: "run_ending",
    at,
    ending: "FAILED",
    reason: "RUN_FAILED",
    message: "analyze failed",
    task,
    graceMs: 5_000,
  },
  { type: "run_failed", at, reason: "DEADLINE", message: "too late", task },
  { type: "run_cancelled", at, message: "enough" },
  { type: "run_completed", at },
];

const [accepted, ...rest] = SAMPLE_EVENTS as readonly [Event, ...Event[]];
const large: Event = {
  type: "task_completed",
  at,
  task,
  attempt: 1,
  output: { json: JSON.stringify("x".repeat(32 * 1024)) },
};

/** The commits, in order. */
export const SAMPLE_COMMITS: readonly Commit[] = [
  {
    ...commitOf([eventsOf(1, 1, accepted), eventsOf(2, 1, accepted, ...rest.slice(0, 3))]),
    definitions: [{ hash: "0123456789abcdef".repeat(4), json: '{"name":"customer_support"}' }],
    accepted: [
      {
        runId: runIdAt(1),
        namespace: "default",
        idempotency: { key: "order-4711", fingerprint: "ffee" },
      },
      { runId: runIdAt(2), namespace: "default", idempotency: undefined },
    ],
  },
  commitOf([eventsOf(1, 2, ...rest)]),
  commitOf([eventsOf(3, 1, accepted, large)]),
  commitOf(
    [eventsOf(2, 5, { type: "run_completed", at })],
    [
      {
        runId: runIdAt(2),
        namespace: "default",
        name: "customer_support",
        status: "COMPLETED",
        sessionId: "session 7",
        labels: { team: "blue" },
        acceptedAt: at,
        endedAt: at + 1,
      },
    ],
  ),
];
