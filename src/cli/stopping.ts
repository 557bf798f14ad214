/**
 * What Ctrl-C and SIGTERM mean to a command: the first asks it to stop in its own way, the second ends the process at
 * once with the code that shells expect.
 */
import type { Cli, StopSignal } from "./terminal.ts";
import { EXIT } from "./terminal.ts";

/** Exit code of a process that a signal ended: 128 and its number. */
const SIGNAL_EXIT: Readonly<Record<StopSignal, number>> = {
  SIGINT: EXIT.interrupted,
  SIGTERM: EXIT.terminated,
};

/** Calls `first` on the first signal and ends the process on the next; call the result to stop listening. */
export function onFirstSignal(cli: Cli, first: (signal: StopSignal) => void): () => void {
  let asked = false;
  return cli.onStopSignal((signal) => {
    if (asked) cli.exit(SIGNAL_EXIT[signal]);
    asked = true;
    first(signal);
  });
}
