/**
 * A worker of the SDK for tests of kills: its agent works for a moment, writes one line for what it did, and returns its
 * input. A line that appears twice is an attempt that ran twice. Every hundred it says how far it is.
 */
import { appendFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { agent, worker } from "goclaw";

const [, , server = "", ledger = "", capacity = "200"] = process.argv;

let ticks = 0;

const tick = agent("tick", async (input, ctx) => {
  await setTimeout(20);
  appendFileSync(ledger, `${ctx.runId}/${ctx.taskId}/${ctx.attempt}\n`);
  ticks++;
  if (ticks % 100 === 0) process.stdout.write(`ticks ${ticks}.\n`);
  return input;
});

const subject = worker({ server, agents: [tick], capacity: Number(capacity), log: "error" });
await subject.start();
process.stdout.write("connected\n");
await subject.closed;
process.stdout.write(`${JSON.stringify(subject.status.verdicts)}\n`);
