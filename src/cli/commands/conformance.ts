/**
 * `goclaw conformance`: can the other side rely on this worker, or on this daemon? Plays the cases of the conformance
 * kits and prints a report; what is right is decided there. The kits are loaded only when they are asked for.
 */
import type { CaseResult, KitListener } from "../../conformance/verdicts.ts";
import type { RunningWorker, WorkerProgram } from "../../conformance/worker-program.ts";
import { clientsOf, serverAddress } from "../client.ts";
import { type CommandSpec, command, type OptionSpec, SERVER_OPTION } from "../command.ts";
import { type Cli, EXIT, UsageError } from "../terminal.ts";

interface KitOptions {
  readonly json?: boolean;
  readonly only?: readonly string[];
  readonly patience: number;
}

const KIT_OPTIONS: readonly OptionSpec[] = [
  { flags: "--json", doc: "print one JSON document instead of TAP" },
  { flags: "--only <case>", doc: "play only this case; may be repeated", repeatable: true },
];

function patienceOption(defaultMs: string): OptionSpec {
  return {
    flags: "--patience <ms>",
    doc: "longest wait for whatever a case expects",
    default: defaultMs,
  };
}

function patienceMs({ patience }: KitOptions): number {
  const ms = Number(patience);
  if (Number.isInteger(ms) && ms >= 100 && ms <= 600_000) return ms;
  throw new UsageError(`"${patience}" is not a patience; write milliseconds from 100 to 600000`);
}

const workerCommand = command<KitOptions>({
  name: "worker",
  summary: "test a worker against a nasty engine",
  details:
    "Starts COMMAND with GOCLAW_SERVER naming an engine that plays every situation of the protocol, one case each. " +
    "The worker serves the agents `echo` and `sleep`; docs/conformance.md says what they do and lists the cases.",
  arguments: [{ term: "<command...>", doc: "program of the worker and its arguments, after --" }],
  options: [...KIT_OPTIONS, patienceOption("5000")],
  examples: [
    "goclaw conformance worker -- python3 worker.py",
    "goclaw conformance worker --only verdict-lost --only drain -- ./worker",
  ],
  action: async (cli, words, options) => {
    const { commandProgram } = await import("../../conformance/worker-program.ts");
    const { testWorker, WORKER_CASES } = await import("../../conformance/worker-kit.ts");
    refuseUnknown(options, Object.values(WORKER_CASES).flat());
    const program = endedWithUs(cli, commandProgram(words as readonly string[], cli.environment));
    const only = options.only ?? [];
    const settings = { program, clock: cli.clock, patienceMs: patienceMs(options), only };
    return report(cli, "worker", options, (listener) => testWorker(settings, listener));
  },
});

const engineCommand = command<KitOptions & { readonly server?: string }>({
  name: "engine",
  summary: "test a daemon against nasty workers",
  details:
    "Starts runs of its own on the daemon, for agents that nobody else serves, and plays workers that lie, die and repeat " +
    "themselves. All cases are played at the same time; the longest takes about a minute.",
  options: [SERVER_OPTION, ...KIT_OPTIONS, patienceOption("10000")],
  examples: ["goclaw conformance engine --server http://127.0.0.1:7420"],
  action: async (cli, _args, options) => {
    const { ENGINE_CASES, testEngine } = await import("../../conformance/engine-kit.ts");
    refuseUnknown(options, ENGINE_CASES);
    const server = serverAddress(cli, options.server);
    // Says that nobody answers before forty cases do.
    await (await clientsOf(cli, options.server)).admin.getInfo({});
    const only = options.only ?? [];
    const settings = { server, clock: cli.clock, patienceMs: patienceMs(options), only };
    return report(cli, "engine", options, (listener) => testEngine(settings, listener));
  },
});

export const conformanceCommand: CommandSpec = {
  name: "conformance",
  summary: "test a worker or a daemon for the worker protocol",
  commands: [workerCommand, engineCommand],
};

function refuseUnknown({ only = [] }: KitOptions, cases: readonly { readonly name: string }[]) {
  const unknown = only.find((name) => !cases.some((each) => each.name === name));
  if (unknown === undefined) return;
  throw new UsageError(`there is no case "${unknown}"; docs/conformance.md lists them`);
}

/** The same program, which does not outlive a Ctrl-C. */
function endedWithUs(cli: Cli, program: WorkerProgram): WorkerProgram {
  let running: RunningWorker | undefined;
  cli.onStopSignal((signal) => {
    running?.kill();
    cli.exit(signal === "SIGINT" ? EXIT.interrupted : EXIT.terminated);
  });
  return {
    start: (environment) => {
      running = program.start(environment);
      return running;
    },
  };
}

async function report(
  cli: Cli,
  tested: "worker" | "engine",
  { json }: KitOptions,
  play: (listener: KitListener) => Promise<readonly CaseResult[]>,
): Promise<number> {
  const { jsonReport, tally, tapCase, tapFoot, tapHead, Unmet } = await import(
    "../../conformance/verdicts.ts"
  );
  const print = (text: string): void => {
    if (json !== true) cli.terminal.out(text);
  };
  let surface = "";
  try {
    const results = await play({
      started: (name, count) => {
        surface = name;
        print(tapHead(count));
      },
      played: (number, result) => print(tapCase(number, result)),
    });
    print(tapFoot(results));
    if (json === true) cli.terminal.out(jsonReport(tested, surface, results));
    return tally(results).failed === 0 ? EXIT.ok : EXIT.failed;
  } catch (error) {
    if (!(error instanceof Unmet)) throw error;
    cli.terminal.err(`goclaw: there is nothing to test: ${error.message}\n`);
    return EXIT.failed;
  }
}
