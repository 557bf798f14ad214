/**
 * The engine's side of the worker protocol, played by a test word by word and without a network: every stream that a
 * worker opens appears as a session that the test answers, cuts or leaves in silence. Nothing happens by itself.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type Assign,
  AssignSchema,
  type EngineMessage,
  EngineMessageSchema,
  type Hello,
  type Welcome,
  WelcomeSchema,
  type WorkerMessage,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { type Data, DataSchema } from "../../gen/goclaw/v1/workflow_pb.ts";
import type { Dial } from "../../src/sdk/worker-link.ts";

type Answer = MessageInitShape<typeof EngineMessageSchema>;

/** The intervals of a real engine. */
const WELCOME = {
  sessionId: "s",
  epoch: 1n,
  resumeToken: "token",
  probeIntervalMs: 5_000,
  silenceLimitMs: 15_000,
  ackLimitMs: 3_000,
  leaseTtlMs: 30_000,
  graceMs: 10_000,
  maxMessageBytes: 4 << 20,
  maxPayloadBytes: 2 << 20,
};

/** One stream of a worker. */
export class FakeSession {
  /** What the worker has said, its Hello first. */
  readonly heard: WorkerMessage[] = [];
  /** Whether the worker has ended its side. */
  hasFinished = false;
  /** Whether the stream is over. */
  isOver = false;
  readonly #answers: EngineMessage[] = [];
  #failure: Error | undefined;
  #wake = (): void => {};

  get hello(): Hello {
    const hello = this.heard[0]?.hello;
    if (hello === undefined) throw new Error("the worker has not said Hello");
    return hello;
  }

  /** Everything the worker has said in one field, such as `completes`. */
  all<Field extends "acks" | "progress" | "signalAcks" | "completes" | "fails">(
    field: Field,
  ): WorkerMessage[Field][number][] {
    return this.heard.flatMap((message) => message[field] as WorkerMessage[Field][number][]);
  }

  get beats() {
    return this.heard.flatMap(({ beat }) => beat ?? []);
  }

  /** Sends a message, and returns it for what its type cannot express. */
  say(answer: Answer): EngineMessage {
    const message = create(EngineMessageSchema, answer);
    this.#answers.push(message);
    this.#wake();
    return message;
  }

  welcome(facts: Partial<Welcome> = {}): void {
    this.say({ welcome: Object.assign(create(WelcomeSchema, WELCOME), facts) });
  }

  /** Ends the stream, with an error if one is given. */
  end(failure?: Error): void {
    this.isOver = true;
    this.#failure = failure;
    this.#wake();
  }

  cut(): void {
    this.end(new ConnectError("the stream was cut", Code.Unavailable));
  }

  async *answers(): AsyncGenerator<EngineMessage, void, undefined> {
    for (;;) {
      const answer = this.#answers.shift();
      if (answer !== undefined) yield answer;
      else if (this.#failure !== undefined) throw this.#failure;
      else if (this.isOver) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

export class FakeEngine {
  readonly sessions: FakeSession[] = [];
  /** Set to refuse every stream. */
  refusal: Error | undefined;

  /** The latest stream. */
  get session(): FakeSession {
    const session = this.sessions.at(-1);
    if (session === undefined) throw new Error("the worker has not connected");
    return session;
  }

  readonly dial: Dial = (outgoing, abort) => {
    const session = new FakeSession();
    this.sessions.push(session);
    abort.addEventListener("abort", () => session.end(abort.reason as Error));
    if (this.refusal !== undefined) session.end(this.refusal);
    void listen(session, outgoing);
    return session.answers();
  };
}

async function listen(session: FakeSession, outgoing: AsyncIterable<WorkerMessage>): Promise<void> {
  for await (const message of outgoing) {
    // A stream that is over loses what is sent into it.
    if (session.isOver) return;
    session.heard.push(message);
  }
  session.hasFinished = true;
}

/** An Assign of a lease, with JSON as its input. */
export function assign(
  leaseId: string,
  agent: string,
  input: unknown = null,
  rest: Partial<Assign> = {},
): Assign {
  const plain = create(AssignSchema, {
    lease: { leaseId, runId: "01JD0000000000000000000000", taskId: "t", attempt: 1, fence: 1n },
    agent,
    inputData: jsonData(input),
    idempotencyKey: "key",
    workflow: "wf",
    namespace: "default",
    traceId: "ab".repeat(16),
    inputIsRunInput: true,
  });
  return Object.assign(plain, rest);
}

/** A value as the bytes of its JSON. */
export function jsonData(value: unknown): Data {
  const data = new TextEncoder().encode(JSON.stringify(value));
  return create(DataSchema, { mediaType: "application/json", data });
}
