/**
 * `goclaw init`: writes a small project that runs. It never overwrites: when any of its files exists, it writes none.
 */
import { command } from "../command.ts";
import { STARTER_FILES } from "../starter.ts";
import { EXIT, UsageError } from "../terminal.ts";

export const initCommand = command<object>({
  name: "init",
  summary: "write a starter project",
  details:
    "A definition, three agents and a configuration that run as they are. Nothing is overwritten.",
  arguments: [{ term: "[dir]", doc: "directory to write to (default: the working directory)" }],
  action: async (cli, [dir = "."]) => {
    const { files, terminal } = cli;
    const taken: string[] = [];
    for (const name of Object.keys(STARTER_FILES)) {
      if (await files.exists(files.resolve(dir, name))) taken.push(name);
    }
    if (taken.length > 0) {
      throw new UsageError(`${dir} already has ${taken.join(", ")}; nothing was written`);
    }
    for (const [name, text] of Object.entries(STARTER_FILES)) {
      await files.create(files.resolve(dir, name), text);
      terminal.out(`wrote ${dir === "." ? name : `${dir}/${name}`}\n`);
    }
    terminal.out(`\nNext: ${dir === "." ? "" : `cd ${dir} && `}goclaw run workflow.yaml\n`);
    return EXIT.ok;
  },
});
