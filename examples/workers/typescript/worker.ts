/**
 * The test agents as a worker written with the SDK: `echo`, `sleep`, `fail` and `listen`, under the names that
 * GOCLAW_AGENTS lists. An agent called `ts.echo` does what stands here under `echo`.
 */
import { setTimeout } from "node:timers/promises";
import { type Agent, type AgentContext, agent, worker } from "goclaw";

const SERVER = process.env.GOCLAW_SERVER ?? "http://127.0.0.1:7420";
const NAMES = process.env.GOCLAW_AGENTS ?? "ts.echo,ts.sleep,ts.fail,ts.listen";
const CAPACITY = 256;

function fail(input: { class: string; message: string }): never {
  throw Object.assign(new Error(input.message), { retryable: input.class !== "terminal" });
}

/** Returns its input after `ms`, or stops when it is told to. */
async function sleep(input: { ms: number }, ctx: AgentContext) {
  await setTimeout(input.ms, undefined, { signal: ctx.signal });
  return { ms: input.ms };
}

/** Returns the texts of the first `count` steering signals. */
async function listen(input: { count: number }, ctx: AgentContext) {
  const texts: string[] = [];
  while (texts.length < input.count) {
    await setTimeout(5, undefined, { signal: ctx.signal });
    for (const signal of ctx.signals()) if (signal.kind === "steer") texts.push(signal.text);
  }
  return texts;
}

const make: Readonly<Record<string, (name: string) => Agent<never>>> = {
  echo: (name) => agent(name, (input: unknown) => input),
  sleep: (name) => agent(name, sleep),
  fail: (name) => agent(name, fail),
  listen: (name) => agent(name, listen),
};

const agents = NAMES.split(",").flatMap((name) => make[name.split(".").at(-1) ?? ""]?.(name) ?? []);
await worker({ server: SERVER, agents, capacity: CAPACITY, name: "typescript" }).start();
