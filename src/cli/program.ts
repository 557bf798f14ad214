/**
 * The command line of `goclaw`: builds the parser from the commands, runs the one that is asked for and turns every
 * failure into text and an exit code. The only importer of the parser library.
 */
import { Command, CommanderError, Option } from "commander";
import { serverAddress } from "./client.ts";
import type { CommandSpec, OptionSpec } from "./command.ts";
import { agentsCommand } from "./commands/agents.ts";
import { conformanceCommand } from "./commands/conformance.ts";
import { definitionsCommand } from "./commands/definitions.ts";
import { initCommand } from "./commands/init.ts";
import { lanesCommand } from "./commands/lanes.ts";
import { memoryCommand } from "./commands/memory.ts";
import { outputCommand } from "./commands/output.ts";
import { planCommand, validateCommand } from "./commands/plan.ts";
import { getCommand, listCommand } from "./commands/read.ts";
import { runCommand } from "./commands/run.ts";
import { serveCommand } from "./commands/serve.ts";
import { signalCommand } from "./commands/signal.ts";
import { cancelCommand, submitCommand } from "./commands/submit.ts";
import { versionCommand } from "./commands/version.ts";
import { watchCommand } from "./commands/watch.ts";
import { explain } from "./failure.ts";
import type { Cli } from "./terminal.ts";
import { EXIT, UsageError } from "./terminal.ts";

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandSpec[] = [
  initCommand,
  validateCommand,
  planCommand,
  runCommand,
  serveCommand,
  submitCommand,
  watchCommand,
  outputCommand,
  getCommand,
  listCommand,
  cancelCommand,
  signalCommand,
  lanesCommand,
  agentsCommand,
  definitionsCommand,
  memoryCommand,
  conformanceCommand,
  versionCommand,
];

const DESCRIPTION = "Runs workflows of agents, durably.";

const EXIT_CODES = `
Exit codes:
  0   done
  1   the run failed or was cancelled, or the daemon refused
  2   wrong usage, or an invalid definition, configuration or input
  3   no daemon answers
  70  the store failed, or goclaw has a bug`;

/** The parser; `onExit` receives the exit code of the command that ran. */
export function buildProgram(cli: Cli, onExit: (code: number) => void): Command {
  const { terminal } = cli;
  const program = new Command("goclaw")
    .description(DESCRIPTION)
    .version(cli.version.goclaw, "-V, --version", "print the version")
    .helpCommand("help [command]", "show help for a command")
    .addHelpText("after", EXIT_CODES)
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      getOutHelpWidth: () => Math.min(terminal.columns, 100),
      getErrHelpWidth: () => Math.min(terminal.columns, 100),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (text, write) => write(text.replace(/^error: /, "goclaw: ")),
    })
    .exitOverride();
  for (const spec of COMMANDS) program.addCommand(build(spec, program, cli, onExit));
  return program;
}

function build(
  spec: CommandSpec,
  parent: Command,
  cli: Cli,
  onExit: (code: number) => void,
): Command {
  const built = new Command(spec.name).copyInheritedSettings(parent).summary(spec.summary);
  built.description([`${capitalised(spec.summary)}.`, spec.details].filter(Boolean).join(" "));
  for (const { term, doc } of spec.arguments ?? []) built.argument(term, doc);
  for (const option of spec.options ?? []) built.addOption(optionOf(option));
  if (spec.examples !== undefined) {
    built.addHelpText(
      "after",
      `\nExamples:\n${spec.examples.map((line) => `  $ ${line}`).join("\n")}`,
    );
  }
  for (const inner of spec.commands ?? []) {
    built.addCommand(build(inner, built, cli, onExit), { isDefault: inner.isDefault ?? false });
  }
  const { action } = spec;
  if (action !== undefined) {
    built.action(async (...parsed: unknown[]) => {
      const { registeredArguments } = built;
      const positional = parsed.slice(0, registeredArguments.length).flat() as (
        | string
        | undefined
      )[];
      onExit(await outcomeOf(cli, built.opts(), () => action(cli, positional, built.opts())));
    });
  }
  return built;
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The action's exit code; a failure is explained on standard error. */
async function outcomeOf(
  cli: Cli,
  options: { readonly server?: string },
  action: () => Promise<number>,
): Promise<number> {
  try {
    return await action();
  } catch (error) {
    const { lines, exitCode } = explain(error, () => serverAddress(cli, options.server));
    cli.terminal.err(lines.map((line) => `${line}\n`).join(""));
    return exitCode;
  }
}

function optionOf(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.doc);
  const { parse = (text: string): unknown => text } = spec;
  if (spec.choices !== undefined) option.choices(spec.choices);
  else if (spec.repeatable) {
    option.argParser((text: string, previous: readonly unknown[] | undefined) => [
      ...(previous ?? []),
      parse(text),
    ]);
  } else if (spec.parse !== undefined) option.argParser(parse);
  if (spec.default !== undefined) option.default(spec.default);
  return option;
}

/** Runs `goclaw` with the words after its name; resolves with the exit code. */
export async function runCli(words: readonly string[], cli: Cli): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram(cli, (code) => {
    exitCode = code;
  });
  try {
    if (words.length === 0) program.help();
    await program.parseAsync([...words], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (!(error instanceof UsageError)) throw error;
    // An option's own parser refused its text.
    cli.terminal.err(`${explain(error).lines.join("\n")}\n`);
    return EXIT.usage;
  }
}
