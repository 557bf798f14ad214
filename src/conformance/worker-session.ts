/**
 * The engine's side of one stream of a worker, played by hand: what the worker says goes into an inbox, what the engine
 * says is up to the case, sentence by sentence, right or wrong. By itself it only probes, so that a worker under test does
 * not take the play for silence, and tells results of earlier plays that nobody holds their lease any more.
 */
import {
  create,
  type DescMessage,
  type JsonValue,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type EngineMessage,
  EngineMessageSchema,
  type Hello,
  VerdictOutcome,
  type WelcomeSchema,
  type WorkerMessage,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { Millis } from "../base/time.ts";
import { Inbox } from "./inbox.ts";
import { describeSaid, isResult, type Result, type Said, saidIn } from "./said.ts";
import { jsonOf, sameJson, wireValue } from "./values.ts";
import { type Clock, Unmet } from "./verdicts.ts";

/** Breaks the connection under a call, as a network would. */
export type Cut = () => void;

/** The plain form of a message: no brand, no unknown fields. */
type Plain<D extends DescMessage> = Omit<
  Extract<MessageInitShape<D>, { $typeName?: never }>,
  "$typeName" | "$unknown"
>;

export type MessageInit = Plain<typeof EngineMessageSchema>;
export type WelcomeInit = Plain<typeof WelcomeSchema>;
type AssignInit = NonNullable<MessageInit["assigns"]>[number];

/** A lease that a case has given out. */
export interface Given {
  readonly leaseId: string;
  readonly runId: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly fence: bigint;
  readonly agent: string;
  readonly input: JsonValue;
}

/** Welcome as a daemon would send it, with a probe interval that suits a short play. */
export const WELCOME = {
  probeIntervalMs: 500,
  silenceLimitMs: 15_000,
  ackLimitMs: 3_000,
  leaseTtlMs: 30_000,
  graceMs: 10_000,
  maxMessageBytes: 4 * 1024 * 1024,
  maxPayloadBytes: 2 * 1024 * 1024,
} as const;

let numbers = 0;

/** Numbers that name things apart within this process. */
function nextNumber(): number {
  return ++numbers;
}

export class WorkerSession {
  readonly hello: Hello;
  readonly inbox: Inbox<Said>;
  readonly patienceMs: Millis;
  readonly #clock: Clock;
  readonly #cut: Cut;
  readonly #outgoing: EngineMessage[] = [];
  #wake = (): void => {};
  #ending: ConnectError | "end" | undefined;
  #isOpen = true;
  #nonce = 1n;
  #pump: { cancel(): void } | undefined;
  #isOld = (_leaseId: string): boolean => false;
  resumeToken = "";

  constructor(hello: Hello, cut: Cut, clock: Clock, patienceMs: Millis) {
    this.hello = hello;
    this.#cut = cut;
    this.#clock = clock;
    this.patienceMs = patienceMs;
    this.inbox = new Inbox(clock, describeSaid);
  }

  /** Whether the worker can still hear and be heard. */
  get isOpen(): boolean {
    return this.#isOpen && this.#ending === undefined;
  }

  /** Takes note of a message. */
  hear(message: WorkerMessage): void {
    for (const said of saidIn(message)) {
      if (isResult(said) && this.#isOld(said.leaseId)) {
        const { leaseId } = said;
        this.send({ verdicts: [{ leaseId, outcome: VerdictOutcome.FENCED }] });
      } else this.inbox.push(said);
    }
  }

  /** From now on results of leases that the Hello names are told that nobody holds those any more. */
  fenceOld(): void {
    const old = new Set(this.hello.resume?.leases);
    this.#isOld = (leaseId) => old.has(leaseId);
  }

  /** Reads what the worker says until its side ends; then this side ends too. */
  async listen(messages: AsyncIterator<WorkerMessage>): Promise<void> {
    let how = "by the worker";
    try {
      for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
        this.hear(next.value);
      }
    } catch (error) {
      how = ConnectError.from(error).message;
    }
    this.#isOpen = false;
    this.#pump?.cancel();
    this.inbox.push({ kind: "closed", how });
    this.end();
  }

  /** What goes out, until the session is ended. */
  async *speak(): AsyncGenerator<EngineMessage> {
    for (;;) {
      for (let next = this.#outgoing.shift(); next !== undefined; next = this.#outgoing.shift()) {
        yield next;
      }
      if (this.#ending === "end") return;
      if (this.#ending !== undefined) throw this.#ending;
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }

  send(message: MessageInit): void {
    this.sendMessage(create(EngineMessageSchema, message));
  }

  sendMessage(message: EngineMessage): void {
    this.#outgoing.push(message);
    this.#wake();
  }

  /** Welcomes the worker; with `isQuiet` it is never probed by itself. */
  welcome(init: WelcomeInit, isQuiet: boolean): void {
    const { resume } = this.hello;
    this.resumeToken = `token ${nextNumber()}`;
    const kept = new Set(init.kept ?? []);
    const dropped = resume?.leases.filter((lease) => !kept.has(lease)) ?? [];
    const resumeToken = this.resumeToken;
    const sessionId = `session ${nextNumber()}`;
    this.send({ welcome: { sessionId, resumeToken, epoch: 1n, ...WELCOME, dropped, ...init } });
    if (!isQuiet) this.#probeLater(init.probeIntervalMs ?? WELCOME.probeIntervalMs);
  }

  #probeLater(intervalMs: Millis): void {
    this.#pump = this.#clock.setTimer(intervalMs, () => {
      if (!this.isOpen) return;
      this.probe();
      this.#probeLater(intervalMs);
    });
  }

  /** Sends a probe; answers with its nonce. */
  probe(nonce: bigint = ++this.#nonce): bigint {
    this.send({ probe: { nonce } });
    return nonce;
  }

  /** Ends the stream as an engine does that leaves. */
  end(): void {
    this.#finish("end");
  }

  /** Ends the stream with an error. */
  fail(code: Code, message: string): void {
    this.#finish(new ConnectError(message, code));
  }

  /** Breaks the connection: whatever is on its way is lost. */
  cut(): void {
    this.#finish(new ConnectError("cut", Code.Unavailable));
    this.#cut();
  }

  #finish(ending: ConnectError | "end"): void {
    this.#ending ??= ending;
    this.#pump?.cancel();
    this.#wake();
  }

  /** A new lease; send it with {@link assign} or in a message of one's own. */
  newLease(agent: string, input: JsonValue, of: Partial<Given> = {}): Given {
    const number = nextNumber();
    return {
      // Opaque is opaque: whoever takes it apart stumbles.
      leaseId: `§${number}/1:%2F "x"`,
      runId: String(number).padStart(26, "0"),
      taskId: "task[0]",
      attempt: 1,
      fence: 1n,
      agent,
      input,
      ...of,
    };
  }

  /** The wire's form of a lease. */
  assignOf(given: Given): AssignInit {
    const { leaseId, runId, taskId, attempt, fence, agent, input } = given;
    const version = this.hello.agents.find(({ name }) => name === agent)?.version ?? "";
    return {
      lease: { leaseId, runId, taskId, attempt, fence },
      agent,
      version,
      input: wireValue(input),
      idempotencyKey: `${runId}/${taskId}`,
      workflow: "conformance",
      namespace: "default",
    };
  }

  /** Assigns, all in one message. */
  assign(...given: readonly Given[]): void {
    this.send({ assigns: given.map((each) => this.assignOf(each)) });
  }

  /** Assigns one new lease. */
  give(agent: string, input: JsonValue, of: Partial<Given> = {}): Given {
    const given = this.newLease(agent, input, of);
    this.assign(given);
    return given;
  }

  verdict(outcome: VerdictOutcome, ...given: readonly Given[]): void {
    this.send({ verdicts: given.map(({ leaseId }) => ({ leaseId, outcome })) });
  }

  /** Waits for the acknowledgement of a lease. */
  acked({ leaseId }: Given): Promise<true> {
    return this.inbox.take(
      (said) => (said.kind === "ack" && said.leaseId === leaseId ? true : undefined),
      `an ack of lease ${leaseId}`,
      this.patienceMs,
    );
  }

  /** Waits for the answer to a probe; answers with the leases it lists. */
  beat(nonce: bigint): Promise<readonly string[]> {
    return this.inbox.take(
      (said) => (said.kind === "beat" && said.nonce === nonce ? said.leases : undefined),
      `a beat with nonce ${nonce}`,
      this.patienceMs,
    );
  }

  /** Waits for Complete or Fail of a lease. */
  result({ leaseId }: Given, expected = "a result"): Promise<Result> {
    return this.inbox.take(resultOf(leaseId), `${expected} of lease ${leaseId}`, this.patienceMs);
  }

  /** Waits for Complete of a lease, with this output. */
  async completed(given: Given, output: JsonValue = outputOf(given)): Promise<void> {
    const result = await this.result(given, "a complete");
    const text = JSON.stringify(output).slice(0, 200);
    const expected = `lease ${given.leaseId} to complete with ${text}`;
    if (result.kind === "fail") throw new Unmet(expected, describeSaid(result));
    const seen = jsonOf(result.complete.output, result.complete.outputData);
    if (!sameJson(seen, output)) throw new Unmet(expected, describeSaid(result));
  }

  /** Throws when a result of this lease has come, or another one after the one that was taken. */
  noResult({ leaseId }: Given): void {
    const result = this.inbox.takeNow(resultOf(leaseId));
    if (result === undefined) return;
    throw new Unmet(`no (further) result of lease ${leaseId}`, describeSaid(result));
  }
}

function resultOf(leaseId: string): (said: Said) => Result | undefined {
  return (said) => (isResult(said) && said.leaseId === leaseId ? said : undefined);
}

/** What the test agents return. */
export function outputOf({ agent, input }: Given): JsonValue {
  if (agent === "echo") return input;
  const { ms } = input as { readonly ms: number };
  return { ms };
}
