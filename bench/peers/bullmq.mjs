/**
 * The workloads of the comparison on BullMQ, in processes of its own: one that submits, and as the topology says a
 * second one that works, or both in one. It is told over IPC what to run and answers with the figures of one
 * repetition. Everything is set as BullMQ is fastest: finished entries are removed at once, submissions go in bulk where
 * it has bulk calls, and 200 of them are worked on at the same time.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { FlowProducer, Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { monotonicMs } from "../clock.ts";
import { openLoop } from "../open-loop.ts";

const CONCURRENCY = 200;
const BULK = 500;
const BULKS_IN_FLIGHT = 4;
const DATA = { payload: "x".repeat(86) };
const FORGET = { removeOnComplete: true, removeOnFail: true };

const [role, port, queueName] = process.argv.slice(2);
const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null };

/** What a worker does with an entry, by its name. `stamps` collects starts by the entry's number. */
function handler(flow, stamps) {
  return async ({ name, data }) => {
    if (name === "stamp") stamps[data.index] = monotonicMs();
    if (name === "root") await flow.add(fanOut(data.width));
    return 1;
  };
}

function fanOut(width) {
  const children = Array.from({ length: width }, (_, item) => ({
    name: "step",
    queueName,
    data: { item },
    opts: FORGET,
  }));
  return { name: "join", queueName, opts: FORGET, children };
}

/** Works until told to stop; calls `ended` with the name of each entry that is durably done. */
async function work(ended) {
  const flow = new FlowProducer({ connection });
  const stamps = [];
  const worker = new Worker(queueName, handler(flow, stamps), {
    connection,
    concurrency: CONCURRENCY,
  });
  worker.on("completed", ({ name }) => ended(name));
  worker.on("error", (error) => console.error(error));
  await worker.waitUntilReady();
  const close = async () => {
    await worker.close();
    await flow.close();
  };
  return { stamps, close };
}

/** A worker in this process. */
async function workHere(watched) {
  const { stamps, close } = await work((name) => watched.count(name));
  return { stop: close, takeStamps: async () => stamps.splice(0) };
}

/** A worker in a process of its own, which says so for every so many ends of the name that is waited for. */
async function workThere(watched) {
  const child = fork(import.meta.filename, ["worker", port, queueName]);
  await once(child, "message");
  const tell = (message) => child.send(message);
  watched.onWait = (name, count) => tell({ name, count });
  let takeReply = () => {};
  child.on("message", ({ stamps }) =>
    stamps === undefined ? watched.finish() : takeReply(stamps),
  );
  return {
    stop: async () => {
      const exited = once(child, "exit");
      tell({ stop: true });
      await exited;
    },
    takeStamps: async () => {
      const reply = new Promise((resolve) => {
        takeReply = resolve;
      });
      tell({ stamps: true });
      return await reply;
    },
  };
}

/** Waits for a number of ends, wherever they are counted. */
class Watched {
  onWait = () => {};
  #left = 0;
  #name = "";
  #resolve = () => {};

  wait(name, count) {
    this.#name = name;
    this.#left = count;
    this.onWait(name, count);
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  count(name) {
    if (name === this.#name && --this.#left === 0) this.#resolve();
  }

  finish() {
    this.#resolve();
  }
}

async function singles({ queue, watched }, { runs }) {
  const began = performance.now();
  const done = watched.wait("single", runs);
  let sent = 0;
  const lane = async () => {
    while (sent < runs) {
      const size = Math.min(BULK, runs - sent);
      sent += size;
      await queue.addBulk(
        Array.from({ length: size }, () => ({ name: "single", data: DATA, opts: FORGET })),
      );
    }
  };
  await Promise.all(Array.from({ length: BULKS_IN_FLIGHT }, lane));
  await done;
  return { perSecond: (runs / (performance.now() - began)) * 1_000 };
}

async function fanOuts({ queue, watched }, { runs, width }) {
  const began = performance.now();
  for (let run = 0; run < runs; run++) {
    const done = watched.wait("join", 1);
    await queue.add("root", { width }, FORGET);
    await done;
  }
  return { perSecond: ((runs * (width + 2)) / (performance.now() - began)) * 1_000 };
}

async function starts({ queue, watched, worker }, { perSecond, seconds }) {
  const due = [];
  const done = watched.wait("stamp", perSecond * seconds);
  await openLoop({
    perSecond,
    seconds,
    send: async (index, dueMs) => {
      due[index] = dueMs;
      await queue.add("stamp", { index, ...DATA }, FORGET);
    },
  });
  await done;
  const stamps = await worker.takeStamps();
  return { startMs: stamps.map((stamp, index) => stamp - due[index]) };
}

const WORKLOADS = { singles, fanOuts, starts };

async function runWorker() {
  const watched = new Watched();
  const { stamps, close } = await work((name) => watched.count(name));
  process.on("message", async (message) => {
    if (message.stop) {
      await close();
      process.exit(0);
    }
    if (message.stamps) return process.send({ stamps: stamps.splice(0) });
    await watched.wait(message.name, message.count);
    process.send({ done: true });
  });
  process.send({ ready: true });
}

async function runClient(isTogether) {
  const admin = new Redis(connection);
  const queue = new Queue(queueName, { connection });
  await queue.waitUntilReady();
  const watched = new Watched();
  const worker = await (isTogether ? workHere(watched) : workThere(watched));
  process.on("message", async ({ workload, ...options }) => {
    if (workload === undefined) {
      await worker.stop();
      await queue.close();
      await admin.flushall();
      process.exit(0);
    }
    process.send(await WORKLOADS[workload]({ queue, watched, worker }, options));
  });
  process.send({ ready: true });
}

if (role === "worker") await runWorker();
else await runClient(role === "together");
