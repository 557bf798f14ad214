/**
 * Answers of a bulk stream on their way out. Whatever gathered since the last message leaves in the next one, so the
 * batch size follows the load by itself. It counts what it holds: the reader of requests stops above one mark, and a
 * client that does not read its answers at all is cut off at the other, because the runs themselves go on and nobody
 * else may pay for the backlog.
 */
import { create } from "@bufbuild/protobuf";
import type {
  SubmissionAccepted,
  SubmissionEnded,
  SubmissionRefused,
  SubmitRunsResponse,
} from "../../gen/goclaw/v1/run_service_pb.ts";
import { SubmitRunsResponseSchema } from "../../gen/goclaw/v1/run_service_pb.ts";
import { Deque } from "../base/deque.ts";

/** What an answer costs beside its output, in bytes. */
const ANSWER_BYTES = 64;
/** Size at which a message is full; well under the 4 MiB many clients accept. */
const BATCH_BYTES = 1024 * 1024;

type Answer =
  | { readonly kind: "accepted"; readonly answer: SubmissionAccepted; readonly bytes: number }
  | { readonly kind: "ended"; readonly answer: SubmissionEnded; readonly bytes: number }
  | { readonly kind: "refused"; readonly answer: SubmissionRefused; readonly bytes: number };

/** Queue of answers. */
export class Outbox {
  readonly #answers = new Deque<Answer>();
  #bytes = 0;

  /** Approximate size of what waits. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#answers.size === 0;
  }

  accepted(answer: SubmissionAccepted): void {
    this.#push({ kind: "accepted", answer, bytes: ANSWER_BYTES });
  }

  ended(answer: SubmissionEnded, outputBytes: number): void {
    this.#push({ kind: "ended", answer, bytes: ANSWER_BYTES + outputBytes });
  }

  refused(answer: SubmissionRefused): void {
    this.#push({ kind: "refused", answer, bytes: ANSWER_BYTES + answer.message.length });
  }

  #push(entry: Answer): void {
    this.#answers.push(entry);
    this.#bytes += entry.bytes;
  }

  /** Takes one message's worth, oldest first. Call only when not empty. */
  take(): SubmitRunsResponse {
    const batch = create(SubmitRunsResponseSchema);
    let bytes = 0;
    while (bytes < BATCH_BYTES) {
      const entry = this.#answers.shift();
      if (entry === undefined) break;
      bytes += entry.bytes;
      addTo(batch, entry);
    }
    this.#bytes -= bytes;
    return batch;
  }
}

function addTo(batch: SubmitRunsResponse, entry: Answer): void {
  switch (entry.kind) {
    case "accepted":
      batch.accepted.push(entry.answer);
      return;
    case "ended":
      batch.ended.push(entry.answer);
      return;
    case "refused":
      batch.refused.push(entry.answer);
      return;
  }
}
