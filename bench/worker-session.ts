/**
 * The worker of the worker benchmark, in a process of its own: one session of the SDK with agents that do nothing, tell
 * when they start, or wait for a word. Its arguments are the address of the daemon, its capacity and the number of
 * workers that it plays.
 */
import { agent, worker } from "goclaw";
import { monotonicMs } from "./clock.ts";

const [, , server = "", capacity = "4096", workers = "1"] = process.argv;

const { promise: opened, resolve: open } = Promise.withResolvers<number>();
const agents = [
  agent("remote", () => 1),
  agent("remote_stamp", () => monotonicMs()),
  agent("remote_gated", (_input, { signal }) => {
    // One whose lease is lost must give its slot back.
    const lost = new Promise<never>((_, reject) => signal.addEventListener("abort", reject));
    return Promise.race([opened, lost]);
  }),
  agent("remote_open", () => {
    open(1);
    return 1;
  }),
];

for (let n = 0; n < Number(workers); n++) {
  await worker({ server, agents, capacity: Number(capacity), name: "bench" }).start();
}
process.stdout.write("connected\n");
