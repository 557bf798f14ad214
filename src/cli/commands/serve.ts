/**
 * `goclaw serve`: runs the daemon until it is told to stop. The first signal drains (admission stops, running attempts
 * get time, the rest stays resumable), the second ends the process at once; a failed store ends it with code 70,
 * because nothing could be acknowledged any more.
 */
import { AGENTS_OPTION, CONFIG_OPTION, command, DATA_OPTION } from "../command.ts";
import { onFirstSignal } from "../stopping.ts";
import type { Cli, ConfigOptions, Daemon } from "../terminal.ts";
import { EXIT } from "../terminal.ts";

export const serveCommand = command<ConfigOptions>({
  name: "serve",
  summary: "start the daemon",
  details:
    "Prints one line with its address when it is ready; the log goes to standard error. " +
    "SIGTERM or Ctrl-C drains it, a second one ends it at once.",
  options: [
    CONFIG_OPTION,
    DATA_OPTION,
    { flags: "--listen <host:port>", doc: "address to listen on (default: 127.0.0.1:7420)" },
    AGENTS_OPTION,
    {
      flags: "--insecure",
      doc: "permit an address other machines can reach, although nobody is authenticated",
    },
  ],
  examples: ["goclaw serve --agents ./agents --data ./goclaw-data"],
  action: async (cli, _args, options) => serve(cli, options),
});

async function serve(cli: Cli, options: ConfigOptions): Promise<number> {
  const { terminal } = cli;
  let announceStop = (): void => {};
  const stopAsked = new Promise<void>((resolve) => {
    announceStop = resolve;
  });
  const release = onFirstSignal(cli, (signal) => {
    terminal.err(`goclaw: ${signal}: finishing running attempts; once more to stop at once\n`);
    announceStop();
  });
  try {
    const daemon = await cli.serve(options, cli.files.resolve());
    for (const notice of daemon.notices) terminal.err(`goclaw: ${notice}\n`);
    terminal.out(`listening on ${daemon.address}\n`);
    return await untilEnd(cli, daemon, stopAsked);
  } finally {
    release();
  }
}

async function untilEnd(cli: Cli, daemon: Daemon, stopAsked: Promise<void>): Promise<number> {
  const failure = await Promise.race([stopAsked, daemon.failed]);
  if (failure instanceof Error) {
    cli.terminal.err(storeFailure(failure));
    return EXIT.software;
  }
  await daemon.stop();
  return EXIT.ok;
}

/** The line for a store that failed under a running engine. */
export function storeFailure(failure: Error): string {
  return (
    `goclaw: the store failed and nothing can be acknowledged any more: ${failure.message}. ` +
    "Check disk space and health, then start again; everything acknowledged is kept.\n"
  );
}
