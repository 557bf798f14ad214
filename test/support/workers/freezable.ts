/**
 * A worker of the SDK for tests that freeze it: its agent says that it runs, and ends with the worker's name at SIGUSR2,
 * whether its lease still counts or not.
 */
import { once } from "node:events";
import { agent, worker } from "goclaw";

const [, , server = "", name = ""] = process.argv;

const slow = agent("slow", async (_input, { attempt }) => {
  const told = once(process, "SIGUSR2");
  process.stdout.write(`running attempt ${attempt}\n`);
  await told;
  return name;
});

const subject = worker({ server, agents: [slow], name, log: "error" });
await subject.start();
process.stdout.write("connected\n");
await subject.closed;
process.stdout.write(`${JSON.stringify(subject.status.verdicts)}\n`);
