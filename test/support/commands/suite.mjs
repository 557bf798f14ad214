/**
 * The agents of the transport suite as one program: the first argument names the behaviour. Written with nothing but
 * the documented protocol, as a stranger would.
 */
import { createInterface } from "node:readline";

const tell = (directive) => process.stderr.write(`::goclaw ${directive}\n`);
const stopped = new Promise((resolve) => process.on("SIGTERM", resolve));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => JSON.parse((await lines.next()).value);
const opening = await next();

/** Keeps the process alive although nothing is left to do. */
const stay = () => setInterval(() => {}, 1_000);

const BEHAVIOURS = {
  echo: () => opening.input,
  context: () => {
    const { workflow: _, namespace: __, signals: ___, ...rest } = opening;
    return rest;
  },
  throws: () => fail("boom", 1),
  terminal: () => fail("never again", 65),
  reporter: () => {
    tell("progress 40 half");
    tell("checkpoint AQID");
    process.stderr.write("a line\n");
    return null;
  },
  waits: async () => {
    tell("progress 1");
    stay();
    await stopped;
    process.exit(0);
  },
  returns: async () => {
    tell("progress 1");
    stay();
    await stopped;
    return "in time";
  },
  deaf: () => {
    tell("progress 1");
    stay();
    return new Promise(() => {});
  },
  remembers: async () => {
    tell("remember plain");
    tell('remember {"text":"rich","kind":"fact","metadata":{"of":"x"},"importance":"important"}');
    if (opening.input?.fails) fail("forget it", 1);
    tell('recall {"id":"q1","text":"a question","limit":2,"filter":{"of":"x"}}');
    const { recalled } = await next();
    return { shown: opening.memories ?? [], told: recalled.memories };
  },
  mail: async () => {
    tell("progress 1");
    const texts = [];
    const admit = (signal) => {
      tell(`admitted ${signal.id}`);
      texts.push(signal.text);
    };
    opening.signals.forEach(admit);
    while (!texts.includes("last")) admit((await next()).signal);
    return texts;
  },
};

function fail(message, code) {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

const result = await BEHAVIOURS[process.argv[2]]();
process.stdout.write(JSON.stringify(result), () => process.exit(0));
