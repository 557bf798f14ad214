/**
 * Where committed events go beyond this process. Publishing is at least once and in order per run; the journal is the
 * backlog, so a bus may be down for as long as it likes without slowing the engine.
 */

/** One committed event on its way out. */
export interface BusMessage {
  /** `goclaw.v1.<namespace>.run.<run id>.<event type>`, segments sanitised. */
  readonly subject: string;
  /** `<run id>/<sequence>`, for de-duplication at the receiver. */
  readonly id: string;
  /** Protobuf JSON of the public TaskEvent. */
  readonly body: string;
}

/**
 * Guarantees: `publish` resolves when the bus has accepted every message in order, and rejects (without having lost
 * order) when it could not; the caller then sends the same messages again. `close` is idempotent.
 */
export interface EventBus {
  readonly kind: string;
  open(): Promise<void>;
  publish(messages: readonly BusMessage[]): Promise<void>;
  close(): Promise<void>;
}
