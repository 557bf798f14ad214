/**
 * `goclaw plan` and `goclaw validate`: what can be said about a definition file without a daemon. Agents and lanes are
 * not looked up, because they belong to whoever runs it.
 */
import { command } from "../command.ts";
import { planJson, planMermaid, planText } from "../definition-view.ts";
import { counted, painter } from "../layout.ts";
import { InvalidFile, readDefinitionFile } from "../submission.ts";
import { EXIT } from "../terminal.ts";

interface PlanOptions {
  readonly format: "text" | "json" | "mermaid";
}

export const planCommand = command<PlanOptions>({
  name: "plan",
  summary: "show how a definition file would run",
  details: "Layers are for reading: a task starts as soon as its own dependencies are done.",
  arguments: [{ term: "<file>", doc: "definition, YAML or JSON" }],
  options: [
    {
      flags: "--format <format>",
      doc: "how to print it",
      choices: ["text", "json", "mermaid"],
      default: "text",
    },
  ],
  action: async (cli, [file = ""], { format }) => {
    const { plan } = await readDefinitionFile(cli, file);
    const lines = {
      text: () => planText(plan, painter(cli.terminal.colour)),
      json: () => [JSON.stringify(planJson(plan), null, 2)],
      mermaid: () => planMermaid(plan),
    }[format]();
    cli.terminal.out(`${lines.join("\n")}\n`);
    return EXIT.ok;
  },
});

export const validateCommand = command<object>({
  name: "validate",
  summary: "check definition files",
  details: "Prints every problem as file:line:column and exits with 2 when there is one.",
  arguments: [{ term: "<file...>", doc: "definitions, YAML or JSON" }],
  action: async (cli, files) => {
    let invalid = 0;
    for (const file of files) {
      try {
        const { plan } = await readDefinitionFile(cli, file ?? "");
        cli.terminal.out(
          `${file}: ${plan.workflow} is valid, ${counted(plan.tasks.length, "task")}\n`,
        );
      } catch (error) {
        if (!(error instanceof InvalidFile)) throw error;
        invalid++;
        cli.terminal.err(`${error.message}\n`);
      }
    }
    return invalid === 0 ? EXIT.ok : EXIT.usage;
  },
});
