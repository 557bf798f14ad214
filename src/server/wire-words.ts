/**
 * The few scalars both sides spell differently: instants and durations. Status and reason words are equal on both sides
 * by construction, the generated enum is the table; only what a request may get wrong is looked up here.
 */
import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { RunState as WireRunState } from "../../gen/goclaw/v1/run_pb.ts";
import { FaultError, fault } from "../base/fault.ts";
import type { Instant, Millis } from "../base/time.ts";
import { parseDuration, TIMER_MAX_MS } from "../base/time.ts";
import { RUN_STATUSES, type RunStatus } from "../core/run/status.ts";

/** An instant as a Timestamp with microseconds; `0` and absent mean never. */
export function timestamp(at: Instant | undefined): Timestamp | undefined {
  if (!at) return undefined;
  const seconds = Math.floor(at / 1000);
  const micros = Math.floor((at - seconds * 1000) * 1000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: micros * 1000 });
}

/** A Timestamp as an instant. */
export function instant(of: Timestamp): Instant {
  return Number(of.seconds) * 1000 + of.nanos / 1e6;
}

/** Reads an optional duration; empty text is absent. Throws `ARGUMENT_INVALID`, and `LIMIT_EXCEEDED` beyond a year. */
export function readDuration(field: string, text: string): Millis | undefined {
  if (text === "") return undefined;
  const parsed = parseDuration(text);
  if (parsed === undefined) {
    throw new FaultError(
      fault("ARGUMENT_INVALID", {
        field,
        value: JSON.stringify(text),
        expected: "a duration such as 250ms or 1h30m",
      }),
    );
  }
  if (parsed > TIMER_MAX_MS) {
    throw new FaultError(
      fault("LIMIT_EXCEEDED", { field, value: parsed, limit: TIMER_MAX_MS, unit: "milliseconds" }),
    );
  }
  return parsed;
}

/** A run status as a request names it; undefined for `UNSPECIFIED` and numbers of a newer client. */
export function runStatus(of: WireRunState): RunStatus | undefined {
  return RUN_STATUSES.find((status) => WireRunState[status] === of);
}

/** Sets the fields that have a value; absent ones stay as they are. */
export function fill<M extends object>(
  target: M,
  fields: { readonly [K in keyof M]?: M[K] | undefined },
): M {
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) target[key] = value as M[typeof key];
  }
  return target;
}
