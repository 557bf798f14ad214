/**
 * `goclaw watch RUN`: follows a run of a daemon to its end. Leaving does not touch the run.
 */
import { clientsOf } from "../client.ts";
import { command, SERVER_OPTION } from "../command.ts";
import { onFirstSignal } from "../stopping.ts";
import { EXIT, UsageError } from "../terminal.ts";
import type { ViewOptions } from "../watching.ts";
import { exitCodeOf, VIEW_OPTIONS, watchToEnd } from "../watching.ts";

interface WatchOptions extends ViewOptions {
  readonly after?: bigint;
  readonly server?: string;
}

export const watchCommand = command<WatchOptions>({
  name: "watch",
  summary: "follow a run to its end",
  details:
    "Ctrl-C leaves; the run goes on. The exit code tells how the run ended, like that of `goclaw run`.",
  arguments: [{ term: "<run>", doc: "id of the run" }],
  options: [
    {
      flags: "--after <sequence>",
      doc: "only events after this one (default: all)",
      parse: readSequence,
    },
    SERVER_OPTION,
    ...VIEW_OPTIONS,
  ],
  action: async (cli, [runId = ""], options) => {
    const leaving = new AbortController();
    const release = onFirstSignal(cli, () => leaving.abort());
    try {
      const watch = { runId, afterSequence: options.after ?? 0n };
      const clients = await clientsOf(cli, options.server);
      return exitCodeOf(await watchToEnd(cli, clients, watch, options, leaving.signal));
    } catch (error) {
      if (!leaving.signal.aborted) throw error;
      cli.terminal.err(`goclaw: the run goes on; goclaw watch ${runId} shows it again\n`);
      return EXIT.interrupted;
    } finally {
      release();
    }
  },
});

function readSequence(text: string): bigint {
  if (!/^\d{1,18}$/.test(text))
    throw new UsageError(`"${text}" is not a sequence; use a whole number`);
  return BigInt(text);
}
