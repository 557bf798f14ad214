/**
 * What one worker has taken up: the calls that run, and results that the engine has not yet answered. It is the whole
 * state of a worker that outlives its streams. It decides what an Assign, Cancel, Drop, Signal or Verdict means for
 * a lease, and what a new stream has to be told; it never waits and knows neither streams nor time.
 */
import { create } from "@bufbuild/protobuf";
import { Reason, SignalReceipt } from "../../gen/goclaw/v1/run_pb.ts";
import {
  type Assign,
  type Cancel,
  CapacitySchema,
  type EngineMessage,
  type Lease,
  type Signal,
  SignalAckSchema,
  type Verdict,
  VerdictOutcome,
  type Welcome,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { AgentCall } from "../adapters/agents/agent-call.ts";
import { PAYLOAD_MAX_BYTES } from "../base/payload.ts";
import type { AttemptListener, AttemptOutcome } from "../ports/agent.ts";
import type { Agent } from "../ports/agent-context.ts";
import type { Host } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";
import { wordOf } from "./run-event.ts";
import type { AskMemory } from "./worker-memory.ts";
import type { Outbox } from "./worker-outbox.ts";
import { OutputTape } from "./worker-output.ts";
import { assignmentOf, deliveredSignal, type Result, resultOf, shortText } from "./worker-wire.ts";

/** The class of slots that agents of this worker take; there is only this one. */
export const SLOT_CLASS = "default";

/** A lease that was taken up and is not settled. */
interface Held {
  readonly agent: string;
  readonly cost: number;
  readonly call: AgentCall;
  /** Where its signals stand, once there is one. */
  signals: Map<string, SignalReceipt> | undefined;
  /** What it writes, once it does. */
  tape: OutputTape | undefined;
  /** Set when the call is over; kept until its verdict. */
  result: Result | undefined;
  /** The engine has taken the lease away. */
  isDropped: boolean;
}

/** What a worker counts. */
export interface WorkerCounts {
  /** Calls that run. */
  readonly running: number;
  /** Results without a verdict. */
  readonly awaitingVerdict: number;
  /** Results by what became of them. */
  readonly verdicts: { readonly [outcome: string]: number };
  /** Messages, fields and assignments that were not understood or had no place. */
  readonly ignored: number;
}

export interface LeasesDeps {
  readonly agents: ReadonlyMap<string, Agent>;
  readonly outbox: Outbox;
  readonly host: Pick<Host, "defer">;
  readonly log: Logger;
  /** Never rejects. */
  readonly recall: AskMemory;
  /** Called whenever nothing runs and no verdict is awaited. */
  readonly onIdle: () => void;
}

export class WorkerLeases {
  readonly #deps: LeasesDeps;
  readonly #held = new Map<string, Held>();
  readonly #listener: AttemptListener;
  readonly #verdicts = new Map<VerdictOutcome, number>();
  #capacity: number;
  /** Slots of running calls, and of those among them whose lease is gone. */
  #taken = 0;
  #orphaned = 0;
  #running = 0;
  #ignored = 0;
  #maxPayloadBytes = PAYLOAD_MAX_BYTES;

  constructor(capacity: number, deps: LeasesDeps) {
    this.#capacity = capacity;
    this.#deps = deps;
    this.#listener = this.#listenerOf(deps);
  }

  get counts(): WorkerCounts {
    const verdicts = [...this.#verdicts].map(([outcome, n]) => [
      wordOf(VerdictOutcome, outcome),
      n,
    ]);
    return {
      running: this.#running,
      awaitingVerdict: this.#held.size - this.#running,
      verdicts: Object.fromEntries(verdicts),
      ignored: this.#ignored,
    };
  }

  get isIdle(): boolean {
    return this.#held.size === 0;
  }

  /** Slots that the engine may fill: calls that go on without a lease take theirs away. */
  get slots(): number {
    return Math.max(0, this.#capacity - this.#orphaned);
  }

  /** Changes how many slots there are. Whatever runs goes on. */
  setCapacity(capacity: number): void {
    this.#capacity = capacity;
    this.#tellCapacity();
  }

  /** Leases that the engine is to go on with: what runs under one, and what has no verdict. */
  leases(): string[] {
    const named: string[] = [];
    for (const [leaseId, { isDropped, result }] of this.#held) {
      if (!isDropped || result !== undefined) named.push(leaseId);
    }
    return named;
  }

  /** A new stream: stops what the engine dropped, and says again what it has not answered. */
  welcome({ dropped, maxPayloadBytes }: Welcome): void {
    if (maxPayloadBytes > 0) this.#maxPayloadBytes = maxPayloadBytes;
    for (const leaseId of dropped) this.#drop(leaseId);
    for (const { result } of this.#held.values()) if (result !== undefined) this.#report(result);
  }

  /** Everything in a message but its Welcome and GoAway. */
  receive(message: EngineMessage): void {
    this.#ignored += message.$unknown?.length ?? 0;
    for (const assign of message.assigns) this.#assign(assign);
    if (message.probe !== undefined) this.#deps.outbox.beat(message.probe.nonce, this.leases());
    for (const signal of message.signals) this.#signal(signal);
    for (const cancel of message.cancels) this.#cancel(cancel);
    for (const leaseId of message.drops) this.#drop(leaseId);
    for (const verdict of message.verdicts) this.#settle(verdict);
  }

  /** Gives up: every call is told to stop, and nothing of it is reported any more. */
  abandon(): void {
    const open = [...this.#held.values()];
    this.#held.clear();
    for (const { call, result } of open) if (result === undefined) call.abort("SHUTDOWN");
  }

  #assign(assign: Assign): void {
    const { lease } = assign;
    if (lease === undefined) return this.#ignore("an Assign without a lease");
    const isKnown = this.#held.has(lease.leaseId);
    const agent = this.#deps.agents.get(assign.agent) ?? missingAgent(assign.agent);
    if (!isKnown && this.#taken + costOf(agent) > this.#capacity) {
      // It stays unacknowledged, so the engine gives it to somebody else.
      return this.#ignore(`lease ${lease.leaseId} is beyond the capacity of ${this.#capacity}`);
    }
    this.#deps.outbox.add({ kind: "acks", value: lease.leaseId });
    if (!isKnown) this.#start(assign, lease, agent);
  }

  #start(assign: Assign, lease: Lease, agent: Agent): void {
    const call = new AgentCall(agent, assignmentOf(assign, lease), this.#listener);
    const cost = costOf(agent);
    const held: Held = {
      agent: agent.name,
      cost,
      call,
      signals: undefined,
      tape: undefined,
      result: undefined,
      isDropped: false,
    };
    this.#held.set(lease.leaseId, held);
    this.#taken += cost;
    this.#running++;
    this.#later(() => {
      if (this.#held.get(lease.leaseId) !== held) return;
      if (held.isDropped) call.abandon({ kind: "stopped" });
      else call.run();
    });
  }

  /** Two turns later: what was acknowledged is on its way by then, even if the agent holds the thread for long. */
  #later(run: () => void): void {
    const { host } = this.#deps;
    host.defer(() => host.defer(run));
  }

  #signal(signal: Signal): void {
    const held = this.#held.get(signal.leaseId);
    const delivered = deliveredSignal(signal);
    if (held === undefined || delivered === undefined) {
      return this.#ignore(`signal ${signal.signalId} of lease ${signal.leaseId}`);
    }
    const receipt = held.signals?.get(signal.signalId);
    if (receipt === undefined) this.#later(() => held.call.deliver(delivered));
    // A signal that comes again lost its receipt on the way.
    else this.#acknowledge(signal.leaseId, signal.signalId, receipt);
  }

  #cancel({ leaseId, reason }: Cancel): void {
    const held = this.#held.get(leaseId);
    if (held === undefined) return this.#ignore(`Cancel of lease ${leaseId}`);
    this.#later(() => held.call.abort(wordOf(Reason, reason)));
  }

  #drop(leaseId: string): void {
    const held = this.#held.get(leaseId);
    if (held === undefined || held.isDropped) return;
    held.isDropped = true;
    if (held.result !== undefined) return;
    this.#orphaned += held.cost;
    this.#tellCapacity();
    this.#later(() => held.call.abort("WORKER_LOST"));
  }

  #settle({ leaseId, outcome, message }: Verdict): void {
    const held = this.#held.get(leaseId);
    if (held?.result === undefined) return this.#ignore(`verdict about lease ${leaseId}`);
    this.#verdicts.set(outcome, (this.#verdicts.get(outcome) ?? 0) + 1);
    if (outcome === VerdictOutcome.REFUSED) {
      this.#deps.log.warn({ leaseId, agent: held.agent }, `result refused: ${message}`);
    }
    this.#forget(leaseId);
  }

  /** The end of a call: what it took is free at once, its result stays. */
  #end(leaseId: string, outcome: AttemptOutcome): void {
    const held = this.#held.get(leaseId);
    if (held === undefined) return;
    this.#taken -= held.cost;
    this.#running--;
    if (held.isDropped) {
      this.#orphaned -= held.cost;
      this.#tellCapacity();
      // A failure of a lost lease is of no use to anybody; an output may be.
      if (outcome.kind !== "success") return this.#forget(leaseId);
    }
    held.result = resultOf(leaseId, outcome, this.#maxPayloadBytes);
    this.#report(held.result);
  }

  #forget(leaseId: string): void {
    this.#held.delete(leaseId);
    if (this.#held.size === 0) this.#deps.onIdle();
  }

  #report(result: Result): void {
    const { kind, message, bytes } = result;
    if (kind === "completes") this.#deps.outbox.add({ kind, value: message, bytes });
    else this.#deps.outbox.add({ kind, value: message, bytes });
  }

  #acknowledge(leaseId: string, signalId: string, receipt: SignalReceipt): void {
    const value = create(SignalAckSchema, { leaseId, signalId, receipt });
    this.#deps.outbox.add({ kind: "signalAcks", value });
  }

  #tellCapacity(): void {
    const value = create(CapacitySchema, { slots: { [SLOT_CLASS]: this.slots } });
    this.#deps.outbox.add({ kind: "capacity", value });
  }

  #ignore(what: string): void {
    this.#ignored++;
    this.#deps.log.debug({}, `ignored: ${what}`);
  }

  /** What calls say. One object serves all: the key is the lease id. */
  #listenerOf({ outbox, log, recall }: LeasesDeps): AttemptListener {
    return {
      progress: (key, percent, note) =>
        outbox.progress(key, { ...knownPercent(percent), note: shortText(note) }),
      checkpoint: (key, checkpoint) => outbox.progress(key, { checkpoint }),
      beat: (key) => outbox.progress(key, {}),
      log: (key, level, text) => {
        outbox.progress(key, {});
        log[level]({ leaseId: key, agent: this.#held.get(key)?.agent }, text);
      },
      receipt: (key, signal, receipt) => this.#receipt(key, signal, RECEIPTS[receipt]),
      output: (key, data) => this.#write(key, data),
      recall: (key, wish, answer) => void recall(key, wish).then(answer),
      finish: (key, outcome) => this.#end(key, outcome),
    };
  }

  #write(leaseId: string, data: Uint8Array): void {
    const held = this.#held.get(leaseId);
    if (held === undefined) return;
    held.tape ??= new OutputTape(leaseId);
    const isQueued = !held.tape.isEmpty;
    held.tape.write(data);
    if (!isQueued) this.#deps.outbox.add({ kind: "outputs", value: held.tape });
  }

  #receipt(leaseId: string, signal: string, receipt: SignalReceipt): void {
    const held = this.#held.get(leaseId);
    if (held === undefined) return;
    held.signals ??= new Map();
    held.signals.set(signal, receipt);
    this.#acknowledge(leaseId, signal, receipt);
  }
}

const RECEIPTS = { delivered: SignalReceipt.DELIVERED, admitted: SignalReceipt.ADMITTED } as const;

/** A percentage from 0 to 100; nothing for what is no number. */
function knownPercent(percent: number): { readonly percent?: number } {
  return Number.isNaN(percent) ? {} : { percent: Math.min(100, Math.max(0, percent)) };
}

function costOf(agent: Agent): number {
  return agent.cost ?? 1;
}

/** Stands in for an agent that the engine should not have asked for. */
function missingAgent(name: string): Agent {
  return {
    name,
    run: () => {
      throw new Error(`this worker has no agent "${name}"`);
    },
  };
}
