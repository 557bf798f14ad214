/**
 * What the engine has to say to one worker, on its way into messages. Whatever gathers during a turn of the event loop
 * leaves as one message, cut well below what clients accept; one assignment may fill a message by itself. Assignments
 * that no message can hold are refused at once.
 */
import { create } from "@bufbuild/protobuf";
import type { EngineMessage } from "../../gen/goclaw/v1/worker_service_pb.ts";
import {
  EngineMessageSchema,
  GoAwaySchema,
  ProbeSchema,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { Deque } from "../base/deque.ts";
import type { Millis } from "../base/time.ts";
import type { Reason } from "../core/run/status.ts";
import type { Assignment, DeliveredSignal } from "../ports/agent.ts";
import type { Host } from "../ports/host.ts";
import type { VerdictOutcome, WorkerLink } from "../ports/worker.ts";
import {
  assignSize,
  signalSize,
  type WireChoice,
  writeAssign,
  writeCancel,
  writeSignal,
  writeVerdict,
} from "./wire-worker.ts";

/** Size at which a message is full. */
const BATCH_BYTES = 512 * 1024;
/** What an entry costs beside what it carries. */
const ENTRY_BYTES = 96;
/** Left for what surrounds a single large assignment. */
const FRAME_BYTES = 4 * 1024;

/** Adds something to a message; built late, so that what is dropped before costs nothing. */
interface Entry {
  readonly bytes: number;
  readonly addTo: (message: EngineMessage) => void;
}

interface Deps {
  readonly host: Pick<Host, "now">;
  readonly choice: WireChoice;
  readonly maxBytes: number;
  /** There is something to send, or the link was closed. */
  readonly onNews: () => void;
}

export class WorkerOutbox implements WorkerLink {
  readonly #deps: Deps;
  readonly #entries = new Deque<Entry>();
  isClosed = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  assign(assignment: Assignment, version: string): boolean {
    const { choice, host, maxBytes } = this.#deps;
    const bytes = assignSize(assignment, choice);
    if (bytes > maxBytes - FRAME_BYTES) return false;
    this.#push(bytes, (message) =>
      message.assigns.push(writeAssign(assignment, version, choice, host.now())),
    );
    return true;
  }

  probe(nonce: number): void {
    this.#push(ENTRY_BYTES, (message) => {
      message.probe = create(ProbeSchema, { nonce: BigInt(nonce) });
    });
  }

  signal(lease: string, signal: DeliveredSignal): void {
    this.#push(signalSize(signal), (message) =>
      message.signals.push(writeSignal(lease, signal, this.#deps.choice)),
    );
  }

  cancel(lease: string, reason: Reason, graceMs: Millis): void {
    this.#push(ENTRY_BYTES, (message) => message.cancels.push(writeCancel(lease, reason, graceMs)));
  }

  drop(lease: string): void {
    this.#push(ENTRY_BYTES, (message) => message.drops.push(lease));
  }

  verdict(lease: string, outcome: VerdictOutcome, text: string): void {
    this.#push(ENTRY_BYTES + text.length, (message) =>
      message.verdicts.push(writeVerdict(lease, outcome, text)),
    );
  }

  goAway(reason: string, reconnectAfterMs: Millis): void {
    this.#push(ENTRY_BYTES, (message) => {
      message.goAway = create(GoAwaySchema, { reason, reconnectAfterMs });
    });
  }

  close(): void {
    this.isClosed = true;
    this.#deps.onNews();
  }

  /** Takes one message's worth, oldest first. Call only when not empty. */
  take(): EngineMessage {
    const message = create(EngineMessageSchema);
    let bytes = 0;
    for (let entry = this.#entries.peek(); entry !== undefined; entry = this.#entries.peek()) {
      if (bytes > 0 && bytes + entry.bytes > BATCH_BYTES) break;
      this.#entries.shift();
      bytes += entry.bytes;
      entry.addTo(message);
    }
    return message;
  }

  #push(bytes: number, addTo: (message: EngineMessage) => unknown): void {
    if (this.isClosed) return;
    this.#entries.push({ bytes, addTo });
    this.#deps.onNews();
  }
}
