/**
 * `goclaw definitions`: the definitions a daemon knows by name, so that runs can be submitted without a file.
 */
import { toJsonString } from "@bufbuild/protobuf";
import type { Definition } from "../../../gen/goclaw/v1/admin_service_pb.ts";
import {
  DefinitionSchema,
  GetDefinitionResponseSchema,
} from "../../../gen/goclaw/v1/admin_service_pb.ts";
import { clientsOf } from "../client.ts";
import type { CommandSpec } from "../command.ts";
import { command, JSON_OPTION, SERVER_OPTION } from "../command.ts";
import { painter } from "../layout.ts";
import { definitionTable } from "../run-text.ts";
import { readDefinitionFile, specOf } from "../submission.ts";
import type { Cli } from "../terminal.ts";
import { EXIT } from "../terminal.ts";

interface DefinitionOptions {
  readonly namespace?: string;
  readonly server?: string;
  readonly json?: boolean;
}

const OPTIONS = [
  { flags: "--namespace <name>", doc: "namespace (default: default)" },
  SERVER_OPTION,
  JSON_OPTION,
];

export const definitionsCommand: CommandSpec = {
  name: "definitions",
  summary: "list, register or show registered definitions",
  commands: [
    command<DefinitionOptions>({
      name: "list",
      summary: "list registered definitions",
      isDefault: true,
      options: OPTIONS,
      action: async (cli, _args, options) => {
        const { admin } = await clientsOf(cli, options.server);
        const { definitions } = await admin.listDefinitions({ namespace: options.namespace ?? "" });
        return print(cli, definitions, options);
      },
    }),
    command<DefinitionOptions>({
      name: "register",
      summary: "register a definition file under its name and version",
      arguments: [{ term: "<file>", doc: "definition, YAML or JSON" }],
      options: OPTIONS,
      action: async (cli, [file = ""], options) => {
        const spec = specOf(await readDefinitionFile(cli, file));
        const { admin } = await clientsOf(cli, options.server);
        const namespace = options.namespace ?? "";
        const { definition } = await admin.registerDefinition({ spec, namespace });
        return print(cli, definition === undefined ? [] : [definition], options);
      },
    }),
    command<Omit<DefinitionOptions, "json">>({
      name: "show",
      summary: "print a registered definition as JSON",
      arguments: [{ term: "<name>", doc: "name, name@version, or hash" }],
      options: OPTIONS.slice(0, 2),
      action: async (cli, [name = ""], options) => {
        const { admin } = await clientsOf(cli, options.server);
        const shown = await admin.getDefinition({ name, namespace: options.namespace ?? "" });
        cli.terminal.out(
          `${toJsonString(GetDefinitionResponseSchema, shown, { prettySpaces: 2 })}\n`,
        );
        return EXIT.ok;
      },
    }),
  ],
};

function print(cli: Cli, definitions: readonly Definition[], { json }: DefinitionOptions): number {
  const style = { now: cli.clock.now(), paint: painter(cli.terminal.colour) };
  const lines = json
    ? definitions.map((definition) => toJsonString(DefinitionSchema, definition))
    : definitionTable(definitions, style);
  cli.terminal.out(lines.map((line) => `${line}\n`).join(""));
  return EXIT.ok;
}
