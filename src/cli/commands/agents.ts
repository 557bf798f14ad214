/**
 * `goclaw agents`: the agents a daemon has loaded or, with `--agents` or `--config`, those a daemon would load from
 * there. The second starts an engine in this process for a moment, so that what is listed is what really loads. Workers
 * that are connected to the daemon follow their agents.
 */
import { toJsonString } from "@bufbuild/protobuf";
import { AgentSchema, WorkerSchema } from "../../../gen/goclaw/v1/admin_service_pb.ts";
import type { Clients } from "../client.ts";
import { clientsOf } from "../client.ts";
import { AGENTS_OPTION, CONFIG_OPTION, command, JSON_OPTION, SERVER_OPTION } from "../command.ts";
import { painter } from "../layout.ts";
import { agentTable } from "../run-text.ts";
import type { Cli, ConfigOptions } from "../terminal.ts";
import { EXIT, UsageError } from "../terminal.ts";
import { workerTable } from "../worker-text.ts";

interface AgentsOptions extends ConfigOptions {
  readonly server?: string;
  readonly json?: boolean;
}

export const agentsCommand = command<AgentsOptions>({
  name: "agents",
  summary: "list agents",
  details:
    "Those of the daemon, or with --agents or --config those that would be loaded from there.",
  options: [
    SERVER_OPTION,
    AGENTS_OPTION,
    { ...CONFIG_OPTION, doc: "configuration file to take agents from" },
    { ...JSON_OPTION, doc: "print each agent, then each worker, as a line of protobuf JSON" },
  ],
  action: async (cli, _args, options) => {
    const local = options.agents !== undefined || options.config !== undefined;
    if (!local) return print(cli, await clientsOf(cli, options.server), options);
    if (options.server !== undefined) {
      throw new UsageError("--server cannot be combined with --agents or --config");
    }
    const daemon = await cli.embed(options, cli.files.resolve());
    try {
      return await print(cli, await clientsOf(cli, daemon.address), options);
    } finally {
      await daemon.stop();
    }
  },
});

async function print(cli: Cli, { admin }: Clients, { json }: AgentsOptions): Promise<number> {
  const { agents, workers } = await admin.listAgents({});
  const paint = painter(cli.terminal.colour);
  const lines = json
    ? [
        ...agents.map((agent) => toJsonString(AgentSchema, agent)),
        ...workers.map((worker) => toJsonString(WorkerSchema, worker)),
      ]
    : [...agentTable(agents, paint), ...workerTable(workers, { now: cli.clock.now(), paint })];
  cli.terminal.out(lines.map((line) => `${line}\n`).join(""));
  return EXIT.ok;
}
