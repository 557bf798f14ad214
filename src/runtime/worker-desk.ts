/**
 * Workers that poll instead of holding a stream: every call of an instance speaks through one standing session, and what
 * the engine has to say to it waits here until the next call takes it along. The rules are those of every session; only
 * credit differs, because an instance can take work only while a poll of it waits.
 */
import { present } from "../base/assert.ts";
import type { Millis } from "../base/time.ts";
import type { Reason } from "../core/run/status.ts";
import type { Assignment, DeliveredSignal } from "../ports/agent.ts";
import type { Host } from "../ports/host.ts";
import type {
  Directives,
  Judged,
  PollVisit,
  PollWish,
  VerdictOutcome,
  WorkerDesk,
  WorkerDoor,
  WorkerHello,
  WorkerLink,
  WorkerSession,
} from "../ports/worker.ts";

const nothing = (): Directives => ({
  assigns: [],
  signals: [],
  cancels: [],
  drops: [],
  goAway: undefined,
});

/** One polling instance between its calls. */
class Visitor implements WorkerLink, PollVisit {
  /** What the instance said about itself, to notice a change. */
  readonly identity: string;
  #session: WorkerSession | undefined;
  #waiting = nothing();
  #wake: (() => void) | undefined;
  readonly #verdicts = new Map<string, (judged: Judged) => void>();

  constructor(identity: string) {
    this.identity = identity;
  }

  get session(): WorkerSession {
    return present(this.#session, "the session of a visitor");
  }

  set session(session: WorkerSession) {
    this.#session = session;
  }

  assign(assignment: Assignment, version: string): boolean {
    this.#waiting.assigns.push({ assignment, version });
    this.#wake?.();
    return true;
  }

  probe(): void {}

  signal(lease: string, signal: DeliveredSignal): void {
    this.#waiting.signals.push({ lease, signal });
    this.#wake?.();
  }

  cancel(lease: string, reason: Reason, graceMs: Millis): void {
    this.#waiting.cancels.push({ lease, reason, graceMs });
    this.#wake?.();
  }

  drop(lease: string): void {
    this.#waiting.drops.push(lease);
    this.#wake?.();
  }

  verdict(lease: string, outcome: VerdictOutcome, message: string): void {
    this.#verdicts.get(lease)?.({ lease, outcome, message });
    this.#verdicts.delete(lease);
  }

  goAway(reason: string, reconnectAfterMs: Millis): void {
    this.#waiting.goAway = { reason, reconnectAfterMs };
    this.#wake?.();
  }

  close(): void {
    this.#wake?.();
  }

  get hasNews(): boolean {
    const { assigns, signals, cancels, drops, goAway } = this.#waiting;
    return (
      assigns.length + signals.length + cancels.length + drops.length > 0 || goAway !== undefined
    );
  }

  /** Takes what has gathered. Assignments wait for a poll: a report has no place for them. */
  take(withAssigns: boolean): Directives {
    const taken = this.#waiting;
    this.#waiting = nothing();
    if (withAssigns) return taken;
    this.#waiting.assigns.push(...taken.assigns);
    return { ...taken, assigns: [] };
  }

  /** Resolves with the verdict on a lease that is about to be reported. */
  judged(lease: string): Promise<Judged> {
    const before = this.#verdicts.get(lease);
    return new Promise((resolve) => {
      this.#verdicts.set(lease, (judged) => {
        before?.(judged);
        resolve(judged);
      });
    });
  }

  /** Calls back at the next news; whoever waited before is woken, because only the latest call counts. */
  onNews(wake: () => void): void {
    this.#wake?.();
    this.#wake = wake;
  }
}

/** All instances that poll. */
export class PollDesk implements WorkerDesk {
  readonly #door: WorkerDoor;
  readonly #host: Pick<Host, "defer" | "setTimer">;
  readonly #visitors = new Map<string, Visitor>();

  constructor(door: WorkerDoor, host: Pick<Host, "defer" | "setTimer">) {
    this.#door = door;
    this.#host = host;
  }

  /** Waits for work and whatever else there is for the instance. Throws what the door throws. */
  async poll(hello: WorkerHello, wish: PollWish, abort: AbortSignal): Promise<Directives> {
    const visitor = this.#enter(hello);
    const { session } = visitor;
    session.beat(0, []);
    session.capacity(hello.capacity);
    if (!visitor.hasNews) {
      session.wants(wish.tasks);
      await this.#news(visitor, wish.waitMs, abort);
      session.wants(0);
    }
    return visitor.take(true);
  }

  /** The instance for a call that does not ask for work; known from its leases alone after a restart. */
  visit(instance: string): PollVisit {
    const known = this.#visitors.get(instance);
    if (known?.session.isOpen) {
      known.session.beat(0, []);
      return known;
    }
    return this.#open({ ...STRANGER, instance }, "");
  }

  #enter(hello: WorkerHello): Visitor {
    const identity = JSON.stringify([hello.name, hello.labels, hello.agents, hello.takesSignals]);
    const known = this.#visitors.get(hello.instance);
    const isSame = known?.session.isOpen === true && known.identity === identity;
    return isSame && !this.#isDraining(hello.instance) ? known : this.#open(hello, identity);
  }

  #isDraining(instance: string): boolean {
    return this.#door
      .workers()
      .some((one) => one.instance === instance && one.state === "DRAINING");
  }

  #open(hello: WorkerHello, identity: string): Visitor {
    const visitor = new Visitor(identity);
    const token = this.#visitors.get(hello.instance)?.session.welcome.resumeToken ?? "";
    visitor.session = this.#door.open({ ...hello, resume: { token, leases: [] } }, visitor);
    this.#visitors.set(hello.instance, visitor);
    this.#forgetClosed();
    return visitor;
  }

  #forgetClosed(): void {
    for (const [instance, { session }] of this.#visitors) {
      if (!session.isOpen) this.#visitors.delete(instance);
    }
  }

  /** The next news, the end of the wait, or of the call; then one turn more, so that a batch comes whole. */
  #news(visitor: Visitor, waitMs: Millis, abort: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        abort.removeEventListener("abort", done);
        this.#host.defer(resolve);
      };
      const timer = this.#host.setTimer(waitMs, done);
      visitor.onNews(done);
      abort.addEventListener("abort", done);
      if (abort.aborted) done();
    });
  }
}

const STRANGER: Omit<WorkerHello, "instance"> = {
  name: "",
  surface: "poll",
  labels: {},
  agents: [],
  capacity: {},
  takesSignals: true,
};
