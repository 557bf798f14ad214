/**
 * Arbitrary events, of every type and with every optional field present or not, for tests of what is done to events in
 * general: encoding, storing, replaying. They are well-formed one by one and mean nothing together.
 */
import fc from "fast-check";
import type { Payload } from "../../src/base/payload.ts";
import type { CollectMode, Event, EventType, SignalContent } from "../../src/core/run/message.ts";
import { RECEIPTS } from "../../src/core/run/message.ts";
import { REASONS } from "../../src/core/run/status.ts";

type Fields = { readonly [name: string]: fc.Arbitrary<unknown> };
type Values<F extends Fields> = {
  -readonly [K in keyof F]: F[K] extends fc.Arbitrary<infer V> ? V : never;
};

/** A plain object of `required` fields and any subset of `extra` ones. */
function record<R extends Fields, X extends Fields = Record<never, never>>(
  required: R,
  extra: X = {} as X,
): fc.Arbitrary<Values<R> & Partial<Values<X>>> {
  return fc
    .tuple(fc.record(required), fc.record(extra, { requiredKeys: [] }))
    .map(([first, second]) => ({ ...first, ...second }) as Values<R> & Partial<Values<X>>);
}

/** Texts of every kind that UTF-8 can hold: empty, ASCII, beyond the basic plane, long, with a byte order mark. */
export const anyText = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 30 }) },
  { weight: 3, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 35, maxLength: 300 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("\ufeffmarked", "\u0000", "é".repeat(43), "x".repeat(127)),
  },
);

const anyNumber = fc.oneof(
  fc.constantFrom(0, 1, 1_764_000_000_000, 1_764_000_000_000.25),
  fc.double({ noNaN: true }),
);
const anyCount = fc.oneof(fc.nat(200), fc.maxSafeNat());
const anyBytes = fc.uint8Array({ maxLength: 300 });
const anyReason = fc.constantFrom(...REASONS);
const anyLabels = fc.dictionary(anyText, anyText, { noNullPrototype: true });

/** Payloads of both kinds, most of them small; `large` ones are put aside by the journal. */
export const anyPayload = (large = 40_000): fc.Arbitrary<Payload> =>
  fc.oneof(
    { weight: 8, arbitrary: record({ json: fc.json({ maxDepth: 2 }) }) },
    { weight: 4, arbitrary: record({ mediaType: anyText, bytes: anyBytes }) },
    {
      weight: 1,
      arbitrary: fc.nat(255).map((fill) => ({
        mediaType: "application/octet-stream",
        bytes: new Uint8Array(large).fill(fill),
      })),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom("a", "é").map((unit) => ({ json: `"${unit.repeat(large)}"` })),
    },
  );

const payload = anyPayload();

const anyMode: fc.Arbitrary<CollectMode> = fc.oneof(
  fc.constant({ kind: "all" } as const),
  fc.constant({ kind: "any" } as const),
  record({ kind: fc.constant("quorum" as const), count: anyCount }),
);

const anyContent: fc.Arbitrary<SignalContent> = fc.oneof(
  record({ kind: fc.constant("steer" as const), payload, text: anyText }),
  record(
    { kind: fc.constant("interrupt" as const), reason: anyText, graceMs: anyNumber },
    { replaceWith: payload },
  ),
  record(
    { kind: fc.constant("collect" as const), tasks: fc.array(anyText), mode: anyMode },
    { deadlineMs: anyNumber },
  ),
);

const anyRequest = record(
  {
    input: payload,
    namespace: anyText,
    priority: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    labels: anyLabels,
    traceId: anyText,
  },
  { sessionId: anyText, deadlineMs: anyNumber },
);

const anyRecall = record({
  question: anyText,
  memories: fc.array(record({ id: anyText, kind: anyText, text: anyText, strength: anyNumber }), {
    maxLength: 3,
  }),
  note: anyText,
});

const memoryOutcome = record(
  {
    session: anyText,
    agent: anyText,
    used: fc.array(anyText, { maxLength: 3 }),
    writes: fc.array(
      record({
        content: anyText,
        kind: anyText,
        metadata: anyLabels,
        importance: fc.constantFrom("important", "normal", "captured", "noise"),
      }),
      { maxLength: 3 },
    ),
    note: anyText,
  },
  { forgetThreshold: anyNumber },
);

/** Required and optional fields of each type, beside `type` and `at`. */
const FIELDS: { readonly [T in EventType]: readonly [required: Fields, optional: Fields] } = {
  run_accepted: [
    { definition: anyText, name: anyText, request: anyRequest },
    { idempotency: record({ key: anyText, fingerprint: anyText }) },
  ],
  run_started: [{}, {}],
  run_completed: [{}, {}],
  run_ending: [
    {
      ending: fc.constantFrom("FAILED", "CANCELLED"),
      reason: anyReason,
      message: anyText,
      graceMs: anyNumber,
    },
    { task: anyText },
  ],
  run_failed: [{ reason: anyReason, message: anyText }, { task: anyText }],
  run_cancelled: [{ message: anyText }, {}],
  task_scheduled: [{ task: anyText, lane: anyText }, { redirectedFrom: anyText }],
  task_started: [
    { task: anyText, attempt: anyCount },
    { note: anyText, lease: anyCount, worker: anyText },
  ],
  task_returned: [{ task: anyText, attempt: anyCount }, {}],
  task_deeds: [
    {
      task: anyText,
      attempt: anyCount,
      deeds: fc.array(record({ name: anyText, value: payload }), { maxLength: 3 }),
    },
    {},
  ],
  task_progress: [{ task: anyText, attempt: anyCount, percent: anyNumber, note: anyText }, {}],
  task_checkpointed: [{ task: anyText, attempt: anyCount, data: anyBytes }, {}],
  task_completed: [
    { task: anyText, attempt: anyCount },
    { output: payload, memory: memoryOutcome },
  ],
  task_recalled: [{ task: anyText, attempt: anyCount, recall: anyRecall }, {}],
  task_retrying: [
    {
      task: anyText,
      attempt: anyCount,
      reason: anyReason,
      message: anyText,
      dueAt: anyNumber,
      counted: fc.boolean(),
    },
    { input: payload, stopGraceMs: anyNumber },
  ],
  task_failed: [
    { task: anyText, attempt: anyCount, reason: anyReason, message: anyText },
    { stopGraceMs: anyNumber },
  ],
  task_cancelled: [
    { task: anyText, reason: anyReason, message: anyText },
    { stopGraceMs: anyNumber },
  ],
  task_skipped: [{ task: anyText, reason: anyReason }, {}],
  task_expanded: [{ task: anyText, items: fc.array(payload, { maxLength: 5 }) }, {}],
  task_waiting: [{ task: anyText, note: anyText }, {}],
  task_resumed: [{ task: anyText }, {}],
  task_stopping: [{ task: anyText, attempt: anyCount, signal: anyText, graceMs: anyNumber }, {}],
  lease_ended: [{ task: anyText, attempt: anyCount }, {}],
  signal_accepted: [{ task: anyText, signal: anyText, content: anyContent }, {}],
  signal_receipt: [
    {
      task: anyText,
      signal: anyText,
      receipt: fc.constantFrom(...RECEIPTS.filter((receipt) => receipt !== "accepted")),
      attempt: anyCount,
      reason: anyText,
    },
    {},
  ],
  signal_collected: [
    { task: anyText, signal: anyText, finished: fc.array(anyText), missing: fc.array(anyText) },
    {},
  ],
};

/** Every event type. */
export const EVENT_TYPES = Object.keys(FIELDS) as EventType[];

/** Any event of one type. */
export function eventOf(type: EventType): fc.Arbitrary<Event> {
  const [required, optional] = FIELDS[type];
  const fields = { type: fc.constant(type), at: anyNumber, ...required };
  return record(fields, optional) as fc.Arbitrary<unknown> as fc.Arbitrary<Event>;
}

/** Any event. */
export const anyEvent: fc.Arbitrary<Event> = fc.oneof(...EVENT_TYPES.map(eventOf));
