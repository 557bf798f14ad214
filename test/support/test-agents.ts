/**
 * The agents that the conformance kit asks of a worker (docs/conformance.md), as one function: what an attempt returns or
 * how it fails. It is told to stop by its abort signal and gets signals through a list.
 */
import type { JsonValue } from "@bufbuild/protobuf";
import { FailureClass, type Signal } from "../../gen/goclaw/v1/worker_service_pb.ts";

/** An attempt that runs. */
export interface Attempt {
  readonly abort: AbortController;
  readonly signals: Signal[];
  /** Called when a signal was added. */
  wake: () => void;
}

export type Ended =
  | { readonly output: JsonValue }
  | { readonly class: FailureClass; readonly message: string };

const CLASSES: Readonly<Record<string, FailureClass>> = {
  retryable: FailureClass.RETRYABLE,
  terminal: FailureClass.TERMINAL,
};

const CANCELLED: Ended = { class: FailureClass.CANCELLED, message: "cancelled" };

/** Runs an attempt to its end; never rejects. `admit` is told each signal that the agent has seen. */
export async function runTestAgent(
  agent: string,
  input: JsonValue,
  attempt: Attempt,
  admit: (signal: Signal) => void,
): Promise<Ended> {
  const fields = (input ?? {}) as { readonly [name: string]: JsonValue };
  switch (agent) {
    case "echo":
      return { output: input };
    case "sleep":
      return sleep(Number(fields.ms), attempt);
    case "fail":
      return { class: CLASSES[String(fields.class)] ?? 0, message: String(fields.message) };
    case "listen":
      return listen(Number(fields.count), attempt, admit);
    default:
      return { class: FailureClass.TERMINAL, message: `no agent ${agent}` };
  }
}

async function sleep(ms: number, { abort }: Attempt): Promise<Ended> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    abort.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
  return abort.signal.aborted ? CANCELLED : { output: { ms } };
}

async function listen(
  count: number,
  attempt: Attempt,
  admit: (signal: Signal) => void,
): Promise<Ended> {
  const { signals, abort } = attempt;
  let admitted = 0;
  while (admitted < count && !abort.signal.aborted) {
    for (const signal of signals.slice(admitted)) {
      admit(signal);
      admitted++;
    }
    if (admitted >= count) break;
    await new Promise<void>((wake) => {
      attempt.wake = wake;
      abort.signal.addEventListener("abort", () => wake());
    });
  }
  if (abort.signal.aborted) return CANCELLED;
  return { output: signals.slice(0, count).map(({ text }) => text) };
}
