/**
 * `goclaw output RUN TASK`: what a task writes while it runs, from the beginning of what the daemon still has to the end
 * of the task. Output is never journaled: what the daemon has forgotten is gone. Leaving does not touch the run.
 */
import type { WatchOutputResponse } from "../../../gen/goclaw/v1/run_service_pb.ts";
import { clientsOf } from "../client.ts";
import { command, SERVER_OPTION } from "../command.ts";
import { onFirstSignal } from "../stopping.ts";
import type { Terminal } from "../terminal.ts";
import { EXIT } from "../terminal.ts";

interface OutputOptions {
  readonly server?: string;
}

export const outputCommand = command<OutputOptions>({
  name: "output",
  summary: "print what a task writes until it ends",
  details:
    "What agents write with `ctx.output`; the daemon keeps the latest 256 KiB of each task, in memory and for a while. " +
    "Gaps and new attempts are told on standard error.",
  arguments: [
    { term: "<run>", doc: "id of the run" },
    { term: "<task>", doc: "id of a task, or of an instance such as analyze[3]" },
  ],
  options: [SERVER_OPTION],
  action: async (cli, [runId = "", taskId = ""], { server }) => {
    const leaving = new AbortController();
    const release = onFirstSignal(cli, () => leaving.abort());
    try {
      const { runs } = await clientsOf(cli, server);
      const pieces = runs.watchOutput({ runId, taskId }, { signal: leaving.signal });
      await print(pieces, cli.terminal);
      return EXIT.ok;
    } catch (error) {
      if (!leaving.signal.aborted) throw error;
      return EXIT.interrupted;
    } finally {
      release();
    }
  },
});

async function print(
  pieces: AsyncIterable<WatchOutputResponse>,
  terminal: Terminal,
): Promise<void> {
  let attempt = 0;
  let received = 0n;
  let decoder = new TextDecoder();
  for await (const piece of pieces) {
    if (piece.attempt !== attempt) {
      if (attempt !== 0) terminal.err(`goclaw: attempt ${piece.attempt} begins\n`);
      attempt = piece.attempt;
      received = 0n;
      decoder = new TextDecoder();
    }
    if (piece.offset > received)
      terminal.err(`goclaw: ${piece.offset - received} bytes are lost\n`);
    received = piece.offset + BigInt(piece.data.byteLength);
    terminal.out(decoder.decode(piece.data, { stream: true }));
  }
}
