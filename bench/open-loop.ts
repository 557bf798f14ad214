/**
 * Requests at a fixed rate, whatever becomes of the earlier ones. Each is due at an instant of its own, and latencies
 * count from there: a system that stalls is charged for every request that should have been sent meanwhile, not only
 * for the one that waited (coordinated omission). A thread that sleeps with the precision of the kernel gives the beat,
 * because timers of an event loop are only good to a millisecond.
 */
import { Worker } from "node:worker_threads";
import { monotonicMs } from "./clock.ts";

export interface OpenLoop {
  readonly perSecond: number;
  readonly seconds: number;
  /** Sends request `index`, which was due at `dueMs` of the monotonic clock; resolves with its answer. */
  readonly send: (index: number, dueMs: number) => Promise<void>;
}

const LEAD_MS = 50;

const BEAT = `
  const { parentPort, workerData: { firstMs, gapMs, count } } = require("node:worker_threads");
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let index = 0; index < count; index++) {
    for (;;) {
      const waitMs = firstMs + index * gapMs - Number(process.hrtime.bigint()) / 1e6;
      if (waitMs <= 0) break;
      Atomics.wait(cell, 0, 0, waitMs);
    }
    parentPort.postMessage(index);
  }`;

/**
 * Sends everything and waits for every answer, or for the first that fails. Answers how late each request left, in
 * milliseconds: the client's own part of every latency.
 */
export async function openLoop({ perSecond, seconds, send }: OpenLoop): Promise<number[]> {
  const count = Math.round(perSecond * seconds);
  const gapMs = 1_000 / perSecond;
  const firstMs = monotonicMs() + LEAD_MS;
  const worker = new Worker(BEAT, { eval: true, workerData: { firstMs, gapMs, count } });
  const lateMs: number[] = [];
  const answers: Promise<void>[] = [];
  const sent = new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.on("message", (index: number) => {
      const dueMs = firstMs + index * gapMs;
      lateMs.push(monotonicMs() - dueMs);
      const answer = send(index, dueMs);
      answer.catch(reject);
      answers.push(answer);
      if (answers.length === count) resolve();
    });
  });
  await sent.finally(() => worker.terminate());
  await Promise.all(answers);
  return lateMs;
}
