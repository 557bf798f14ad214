/** Modules in threads, through the suite of all transports. */
import { join } from "node:path";
import { PluginTransport } from "../../src/adapters/agents/plugin-transport.ts";
import { ListLog } from "../support/attempts.ts";
import { describeTransport } from "./transport-suite.ts";

const directories = [join(import.meta.dirname, "../support/agents")];

describeTransport("plugin threads", (host) => {
  const transport = new PluginTransport(
    { directories, threads: 2, watch: false },
    { host, log: new ListLog() },
  );
  return Promise.resolve({ transport });
});
