/** `goclaw version`: what is installed here; with `--server`, what runs there. */
import { toJsonString } from "@bufbuild/protobuf";
import { GetInfoResponseSchema } from "../../../gen/goclaw/v1/admin_service_pb.ts";
import { clientsOf } from "../client.ts";
import { command, JSON_OPTION } from "../command.ts";
import { EXIT } from "../terminal.ts";

interface VersionOptions {
  readonly server?: string;
  readonly json?: boolean;
}

export const versionCommand = command<VersionOptions>({
  name: "version",
  summary: "print the version",
  options: [
    { flags: "--server <url>", doc: "print the version and state of this daemon" },
    JSON_OPTION,
  ],
  action: async (cli, _args, options) => {
    const { goclaw, node } = cli.version;
    if (options.server === undefined) {
      const line = options.json
        ? JSON.stringify({ version: goclaw, nodeVersion: node })
        : `goclaw ${goclaw} (Node.js ${node})`;
      cli.terminal.out(`${line}\n`);
      return EXIT.ok;
    }
    const { admin } = await clientsOf(cli, options.server);
    const info = await admin.getInfo({});
    const state = info.ready ? "ready" : `not ready: ${info.reason}`;
    const line = options.json
      ? toJsonString(GetInfoResponseSchema, info, { alwaysEmitImplicit: true })
      : `goclaw ${info.version} (Node.js ${info.nodeVersion}), ${info.store} store, ${info.openRuns} open runs, ${state}`;
    cli.terminal.out(`${line}\n`);
    return EXIT.ok;
  },
});
