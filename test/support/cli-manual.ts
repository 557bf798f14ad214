/**
 * Prints docs/cli.md from the parser itself: what `--help` shows, command by command. A test compares the file with
 * this output and `UPDATE_DOCS=1` rewrites it.
 */

import { buildProgram } from "../../src/cli/program.ts";
import type { Cli } from "../../src/cli/terminal.ts";

const INTRODUCTION = `# Command line

Printed from the definitions of the commands in \`src/cli/commands/\`; \`goclaw help COMMAND\` shows the same.

Commands that talk to a daemon find it by \`--server\`, else \`$GOCLAW_SERVER\`, else \`http://127.0.0.1:7420\`. \`--json\` prints
protobuf JSON, one message per line where there are several. Errors are one line on standard error: the stable code
(see [errors.md](errors.md)), what is wrong, what to do. Colours are for terminals and off when \`NO_COLOR\` is set.

`;

/** The whole page. The parser needs a `Cli` to be built, but nothing is run. */
export function cliManual(cli: Cli): string {
  const program = buildProgram(cli, () => {});
  const sections: string[] = [];
  const visit = (command: typeof program, path: string): void => {
    sections.push(section(path, helpOf(command)));
    for (const inner of command.commands) visit(inner as typeof program, `${path} ${inner.name()}`);
  };
  visit(program, "goclaw");
  return INTRODUCTION + sections.join("\n");
}

function helpOf(command: ReturnType<typeof buildProgram>): string {
  let help = "";
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  return help;
}

function section(title: string, help: string): string {
  return `## ${title}\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\`\n`;
}
