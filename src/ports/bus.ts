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
 * Guarantees: `publish` resolves when the bus has accepted every message, those of one run in the order given, and
 * rejects (without having lost that order) when it could not; the caller then opens again and sends the same messages
 * again. It rejects at once while the bus is not open. `open` resolves at once when it is; it and `close` are
 * idempotent, and a closed bus stays closed.
 */
export interface EventBus {
  readonly kind: string;
  /** Longest body it takes, in bytes of UTF-8, known while open; absent without limit. */
  readonly bodyMaxBytes?: number;
  open(): Promise<void>;
  publish(messages: readonly BusMessage[]): Promise<void>;
  close(): Promise<void>;
}
