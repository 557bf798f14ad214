/**
 * Clients that submit runs and register definitions. They send a request again when they heard no answer, share keys
 * with others, reuse a key for another request, and start by name while others register new versions. What they are
 * told about a key must be explained by some order of the calls; what is acknowledged must be durable.
 */
import { FaultError } from "../../src/base/fault.ts";
import type { RunId } from "../../src/base/ids.ts";
import { jsonPayload } from "../../src/base/payload.ts";
import { canonicalJson } from "../../src/core/dag/compile.ts";
import type { Definition } from "../../src/core/dag/definition.ts";
import type { EndedRun, StartedRun, StartRun } from "../../src/engine/api.ts";
import type { Caller } from "./caller.ts";
import { type Draw, drawDefinition } from "./definitions.ts";
import { isLinearizable, type Operation } from "./linear.ts";
import type { SimulatedProcess } from "./process.ts";
import { Registrations } from "./registrations.ts";

/** Which run a key stands for, and for which request; `*` is a run that nobody was told of. */
type KeyState = { readonly run: string; readonly request: string } | null;

/** A key with a request that began with it, and what everybody was told. */
interface SharedKey {
  readonly start: StartRun;
  readonly history: Operation<KeyState>[];
}

const SESSIONS = ["anna", "ben", "cleo"];
const REFUSALS = ["DEFINITION_INVALID", "IDEMPOTENCY_CONFLICT"];
const CALLS_PER_KEY = 10;
const LAST: { readonly [status: string]: string } = {
  COMPLETED: "run_completed",
  FAILED: "run_failed",
  CANCELLED: "run_cancelled",
};

export class Submitters {
  readonly #caller: Caller;
  readonly #definitions: readonly Definition[];
  readonly #keys: SharedKey[] = [];
  readonly registrations: Registrations;
  /** Runs that somebody was told of, with their watermarks. */
  readonly known: { readonly runId: RunId; readonly mark: string }[] = [];
  #moment = 0;
  #versions = 0;
  /** Ends that were promised by the living process and have not been told. */
  #awaitedEnds = new Set<object>();

  constructor(caller: Caller, definitions: readonly Definition[]) {
    this.#caller = caller;
    this.#definitions = definitions;
    this.registrations = new Registrations(caller.deps.complain);
  }

  /** Runs whose end somebody still waits to be told. */
  get awaitedEnds(): number {
    return this.#awaitedEnds.size;
  }

  /** The next moment. */
  get moment(): number {
    return ++this.#moment;
  }

  /** The process died, and with it what it had promised to tell. */
  forgetEnds(): void {
    this.#awaitedEnds = new Set();
  }

  /** One client submits, twice when it is in two minds; `name` is unique to it. */
  async submit(draw: Draw, name: string): Promise<StartedRun | undefined> {
    const shared = draw.chance(0.25) ? draw.one(this.#keys) : undefined;
    const key = shared ?? this.#newKey(draw, name);
    const start = shared !== undefined && draw.chance(0.3) ? anotherOf(shared.start) : key.start;
    if (key.history.length >= CALLS_PER_KEY) return undefined;
    const twin = draw.chance(0.15) ? this.#send(draw, key, start) : undefined;
    const started = await this.#send(draw, key, start);
    await twin;
    return started;
  }

  #newKey(draw: Draw, name: string): SharedKey {
    const namespace = draw.one(["default", "other"]);
    const byName = this.registrations.known.filter((known) => known.startsWith(`${namespace}/`));
    const isByName = byName.length > 0 && draw.chance(0.3);
    const definition = isByName
      ? draw.one(byName).slice(namespace.length + 1)
      : draw.one(this.#definitions);
    const start: StartRun = {
      definition,
      idempotencyKey: `key-${name}`,
      request: {
        namespace,
        input: jsonPayload({
          n: draw.upTo(9),
          items: [1, 2, 3].slice(draw.upTo(3)),
          mark: `<w${name}>`,
        }),
        priority: draw.upTo(4) - 2,
        labels: {},
        ...(draw.chance(0.4) ? { sessionId: draw.one(SESSIONS) } : {}),
        ...(draw.chance(0.15) ? { deadlineMs: 100 + draw.upTo(10_000) } : {}),
      },
    };
    const key: SharedKey = { start, history: [] };
    this.#keys.push(key);
    return key;
  }

  async #send(draw: Draw, key: SharedKey, start: StartRun): Promise<StartedRun | undefined> {
    const request = JSON.stringify(start.request.priority);
    const calledAt = this.moment;
    // Until there is an answer it may have happened, or happen later, or never; sending it again changes nothing.
    const place = key.history.push(unanswered(request, calledAt)) - 1;
    const started = await this.#caller.call({
      what: "submit",
      draw,
      refusals: REFUSALS,
      make: async (process) => {
        const answer = await this.#start(process, start).catch((error: unknown) => {
          if (error instanceof FaultError && error.fault.code === "IDEMPOTENCY_CONFLICT") {
            key.history[place] = conflict(request, key.history[place], this.moment);
          }
          throw error;
        });
        key.history[place] = answered(request, answer.runId, key.history[place], this.moment);
        this.#checkVersion(start, answer, calledAt);
        return answer;
      },
    });
    const mark = start.request.input;
    if (started !== undefined && "json" in mark) {
      this.known.push({ runId: started.runId, mark: /<w[^>]*>/.exec(mark.json)?.[0] ?? "" });
    }
    return started;
  }

  #checkVersion({ definition, request }: StartRun, answer: StartedRun, calledAt: number): void {
    if (typeof definition !== "string" || answer.existing) return;
    const record = this.#caller.deps.ledger.runs.get(answer.runId);
    if (record === undefined) return;
    const name = `${request.namespace}/${definition}`;
    this.registrations.started(name, record.plan.hash, calledAt, this.moment);
  }

  /** What is acknowledged is checked here, whether or not the client hears it. */
  async #start(process: SimulatedProcess, request: StartRun): Promise<StartedRun> {
    const { complain, oracles, ledger } = this.#caller.deps;
    const awaited = this.#awaitedEnds;
    const end = {};
    awaited.add(end);
    const started = await process.engine
      .startRun(request, (ended) => {
        if (!awaited.delete(end)) complain(`the end of ${ended.runId} was told twice`);
        this.#told(ended);
      })
      .catch((error: unknown) => {
        awaited.delete(end);
        throw error;
      });
    const { runId } = started;
    oracles.acknowledged("submit", runId, (event) => event.type === "run_accepted");
    // Whoever joins a run that retention is about to delete may never hear of its end.
    if (ledger.runs.get(runId)?.fate !== "kept") awaited.delete(end);
    return started;
  }

  #told({ runId, status }: EndedRun): void {
    const { oracles } = this.#caller.deps;
    oracles.acknowledged("end", runId, (event) => event.type === LAST[status]);
  }

  /** Registers a new version of one of the definitions, or a version again with another content. */
  async register(draw: Draw): Promise<void> {
    const name = draw.one(this.#definitions).name;
    const namespace = draw.one(["default", "other"]);
    const version = draw.chance(0.3) ? "1.0.0" : `1.0.${++this.#versions}`;
    const definition = { ...drawDefinition(draw, name), version };
    const hash = this.#caller.deps.process().host.sha256(canonicalJson(definition));
    await this.#caller.call({
      what: "register",
      draw,
      refusals: ["DEFINITION_INVALID"],
      make: async ({ engine }) => {
        const done = this.registrations.begin(`${namespace}/${name}`, version, hash, this.moment);
        await engine.registerDefinition(namespace, definition);
        done(this.moment);
      },
    });
  }

  /** Whether everything anybody was told about keys can be true. Retention frees keys, which is not modelled. */
  checkKeys(): void {
    const freed = this.#freedKeys();
    for (const { start, history } of this.#keys) {
      const key = `${start.request.namespace}/${start.idempotencyKey}`;
      if (freed.has(key) || isLinearizable(history, null)) continue;
      this.#caller.deps.complain(`no order of the calls explains what was answered for key ${key}`);
    }
  }

  #freedKeys(): ReadonlySet<string> {
    const freed = new Set<string>();
    for (const { fate, namespace, events } of this.#caller.deps.ledger.runs.values()) {
      const [first] = events;
      if (fate === "kept" || first?.type !== "run_accepted") continue;
      freed.add(`${namespace}/${first.idempotency?.key}`);
    }
    return freed;
  }
}

/** The same key for something else. */
function anotherOf(start: StartRun): StartRun {
  return { ...start, request: { ...start.request, priority: 7 } };
}

function unanswered(request: string, calledAt: number): Operation<KeyState> {
  return {
    calledAt,
    answeredAt: Number.POSITIVE_INFINITY,
    apply: (state) => state ?? { run: "*", request },
  };
}

function answered(
  request: string,
  run: string,
  operation: Operation<KeyState> | undefined,
  answeredAt: number,
): Operation<KeyState> {
  return {
    calledAt: operation?.calledAt ?? 0,
    answeredAt,
    apply: (state) => {
      const isFree = state === null || (state.run === "*" && state.request === request);
      return isFree || (state?.run === run && state.request === request)
        ? { run, request }
        : undefined;
    },
  };
}

function conflict(
  request: string,
  operation: Operation<KeyState> | undefined,
  answeredAt: number,
): Operation<KeyState> {
  return {
    calledAt: operation?.calledAt ?? 0,
    answeredAt,
    apply: (state) => (state !== null && state.request !== request ? state : undefined),
  };
}
