/**
 * Which namespace a run belongs to, for naming its events. A run says so in its first event and is forgotten with its
 * last; for runs met in the middle, after a restart or when too many are open to remember, somebody is asked. What is
 * kept is bounded, and the run not heard of for longest is forgotten first.
 */
import { FaultError } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { RunEvents } from "../core/run/message.ts";
import { isLastEvent } from "./last-event.ts";

/** Runs remembered, about 100 bytes each. */
const RUNS_MAX = 10_000;

/** Stands for the namespace of a run that is gone. */
const NAMESPACE_UNKNOWN = "_";

/** A bounded memory of the namespaces of open runs. */
export class Namespaces {
  readonly #ask: (runId: RunId) => Promise<string>;
  /** In order of use, oldest first. */
  readonly #known = new Map<RunId, string>();

  /** `ask` is called for runs not remembered; it rejects with `RUN_NOT_FOUND` for those that are gone. */
  constructor(ask: (runId: RunId) => Promise<string>) {
    this.#ask = ask;
  }

  /** Namespace of the run these events belong to, `_` when nobody knows any more. Rejects when `ask` cannot tell now. */
  async of({ runId, events }: RunEvents): Promise<string> {
    const [first] = events;
    const namespace =
      first?.type === "run_accepted"
        ? first.request.namespace
        : (this.#known.get(runId) ?? (await this.#lookUp(runId)));
    this.#known.delete(runId);
    const last = events.at(-1);
    if (last !== undefined && !isLastEvent(last)) this.#remember(runId, namespace);
    return namespace;
  }

  async #lookUp(runId: RunId): Promise<string> {
    try {
      return await this.#ask(runId);
    } catch (error) {
      if (error instanceof FaultError && error.fault.code === "RUN_NOT_FOUND")
        return NAMESPACE_UNKNOWN;
      throw error;
    }
  }

  #remember(runId: RunId, namespace: string): void {
    this.#known.set(runId, namespace);
    if (this.#known.size <= RUNS_MAX) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}
