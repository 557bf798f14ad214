/** Functions in this process, through the suite of all transports. */
import { FunctionTransport } from "../../src/adapters/agents/function-transport.ts";
import type { Agent } from "../../src/ports/agent-context.ts";
import * as suiteAgents from "../support/agents/suite.ts";
import { describeTransport } from "./transport-suite.ts";

describeTransport("functions", (host) => {
  const transport = new FunctionTransport({}, { host });
  for (const agent of Object.values(suiteAgents)) transport.register(agent as Agent);
  return Promise.resolve({ transport });
});
