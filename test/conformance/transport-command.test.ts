/** Programs, through the suite of all transports. */
import { join } from "node:path";
import type { CommandAgent } from "../../src/adapters/agents/command-process.ts";
import { CommandTransport } from "../../src/adapters/agents/command-transport.ts";
import { ListLog } from "../support/attempts.ts";
import { BEHAVIOURS, describeTransport } from "./transport-suite.ts";

const program = join(import.meta.dirname, "../support/commands/suite.mjs");

const agents = Object.values(BEHAVIOURS).map(
  (name): CommandAgent => ({
    name,
    command: [process.execPath, program, name],
    format: "json",
    stdin: name === "mail" || name === "remembers" ? "stream" : "once",
    cwd: import.meta.dirname,
    passEnv: [],
    graceMs: 60_000,
    maxOutputBytes: 2 * 1024 * 1024,
  }),
);

describeTransport("programs", (host) =>
  Promise.resolve({ transport: new CommandTransport({ agents }, { host, log: new ListLog() }) }),
);
