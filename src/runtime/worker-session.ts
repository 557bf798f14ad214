/**
 * What one link of a worker may say, on whichever surface. It knows for whom it speaks, so a worker can reach only its
 * own leases; what it says about others is answered with a drop or a verdict and changes nothing. Once closed, or once
 * another link of the same instance took its place, it is deaf.
 */
import type { Payload } from "../base/payload.ts";
import type { Deed } from "../core/run/message.ts";
import type { MemoryWrite } from "../core/run/recall.ts";
import type {
  Slots,
  WorkerFailure,
  WorkerLink,
  WorkerNews,
  WorkerSession,
  WorkerWelcome,
} from "../ports/worker.ts";
import type { WorkerInstance, WorkerLease } from "./worker-instance.ts";
import type { WorkerLeases } from "./worker-leases.ts";

/** The part of the pool that sessions speak to. */
export interface SessionPool {
  readonly leases: WorkerLeases;
  heard(instance: WorkerInstance): void;
  roomChanged(): void;
  drainInstance(instance: WorkerInstance, leaving: boolean): void;
  disconnected(instance: WorkerInstance): void;
}

interface Deps {
  readonly instance: WorkerInstance;
  readonly link: WorkerLink;
  readonly pool: SessionPool;
}

export class PoolSession implements WorkerSession {
  readonly welcome: WorkerWelcome;
  readonly #deps: Deps;

  constructor(welcome: WorkerWelcome, deps: Deps) {
    this.welcome = welcome;
    this.#deps = deps;
  }

  get isOpen(): boolean {
    return this.#deps.instance.link === this.#deps.link;
  }

  capacity(slots: Slots): void {
    if (!this.isOpen) return;
    this.#deps.instance.setCapacity(slots);
    this.#deps.pool.roomChanged();
  }

  wants(attempts: number): void {
    if (!this.isOpen) return;
    this.#deps.instance.wanted = attempts;
    if (attempts > 0) this.#deps.pool.roomChanged();
  }

  ack(lease: string): void {
    this.#named(lease);
  }

  /** Only an answer to the latest probe shows that the instance reads; any beat renews what it lists. */
  beat(nonce: number, leases: readonly string[]): void {
    if (!this.isOpen) return;
    const { instance, pool } = this.#deps;
    if (nonce === instance.nonce || instance.surface === "poll") pool.heard(instance);
    for (const lease of leases) this.#named(lease);
  }

  progress(id: string, { percent, note, checkpoint, deeds }: WorkerNews): void {
    if (this.#named(id) === undefined) return;
    const { listener } = this.#deps.pool.leases;
    if (deeds !== undefined && deeds.length > 0) listener.deeds(id, deeds);
    if (checkpoint !== undefined) listener.checkpoint(id, checkpoint);
    if (percent !== undefined || (note !== undefined && note !== "")) {
      listener.progress(id, percent ?? 0, note ?? "");
    } else listener.beat(id);
  }

  output(id: string, offset: number, data: Uint8Array): void {
    if (this.#named(id) === undefined) return;
    this.#deps.pool.leases.listener.output(id, data, offset);
  }

  receipt(id: string, signal: string, receipt: "delivered" | "admitted"): void {
    const lease = this.#named(id);
    if (lease === undefined) return;
    this.#deps.pool.leases.listener.receipt(id, signal, receipt);
    if (receipt === "admitted")
      lease.signals = lease.signals.filter((one) => one.signal !== signal);
  }

  complete(
    id: string,
    output: Payload,
    deeds: readonly Deed[],
    memories: readonly MemoryWrite[] = [],
  ): void {
    const learned = memories.length === 0 ? {} : { memories };
    this.#end(id, deeds, { kind: "success", output, ...learned });
  }

  fail(
    id: string,
    { failure, message, retryAfterMs }: WorkerFailure,
    deeds: readonly Deed[],
  ): void {
    if (failure === "cancelled" && this.#deps.instance.leases.get(id)?.stop !== undefined) {
      return this.#end(id, deeds, { kind: "stopped" });
    }
    const wish = retryAfterMs === undefined ? {} : { retryAfterMs };
    this.#end(id, deeds, { kind: "failure", failure, message, ...wish });
  }

  reject(id: string, message: string): void {
    if (!this.isOpen) return;
    const { instance, pool } = this.#deps;
    pool.leases.report(instance, id, { kind: "failure", failure: "invalid", message }, message);
  }

  drain(leaving: boolean): void {
    if (this.isOpen) this.#deps.pool.drainInstance(this.#deps.instance, leaving);
  }

  closed(): void {
    if (this.isOpen) this.#deps.pool.disconnected(this.#deps.instance);
  }

  #end(id: string, deeds: readonly Deed[], outcome: Parameters<WorkerLeases["report"]>[2]): void {
    if (!this.isOpen) return;
    const { instance, pool } = this.#deps;
    if (deeds.length > 0 && pool.leases.of(instance, id) !== undefined) {
      pool.leases.listener.deeds(id, deeds);
    }
    pool.leases.report(instance, id, outcome);
  }

  /** A lease that the worker named: renewed when it is its own, dropped when it is not. */
  #named(id: string): WorkerLease | undefined {
    if (!this.isOpen) return undefined;
    const { instance, pool, link } = this.#deps;
    const lease = pool.leases.of(instance, id);
    if (lease !== undefined) pool.leases.renew(lease);
    else if (!instance.leases.has(id)) link.drop(id);
    return lease;
  }
}
