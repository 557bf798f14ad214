/**
 * Prints docs/conformance.md from the cases themselves. A test compares the file with this output and `UPDATE_DOCS=1`
 * rewrites it.
 */

import { ENGINE_CASES } from "../../src/conformance/engine-kit.ts";
import { type Case, RULES } from "../../src/conformance/verdicts.ts";
import { WORKER_CASES } from "../../src/conformance/worker-kit.ts";
import { SLOTS_MIN } from "../../src/conformance/worker-stage.ts";

const INTRODUCTION = `# Conformance of workers and daemons

The worker protocol (\`proto/goclaw/v1/worker_service.proto\`) is what lets a daemon and a worker in any language rely on each
other when the network, a process or a program between them fails. Whether they can is tested by playing the other side, badly:

    goclaw conformance worker -- python3 worker.py              # a nasty engine against your worker
    goclaw conformance engine --server http://127.0.0.1:7420    # a nasty worker against a daemon

Both print [TAP](https://testanything.org) line by line, or one JSON document with \`--json\`, and exit with 0 only if no case
failed. A failed case says its rule, what was expected and what was seen. \`--only CASE\` plays one. Cases that concern an
optional ability which the other side does not offer are skipped. Every case waits at most \`--patience\` for whatever it expects.

## A worker under test

The command is started with two variables in its environment:

| variable | holds |
|---|---|
| \`GOCLAW_SERVER\` | the address of the engine, such as \`http://127.0.0.1:40123\`: gRPC without TLS, and JSON over HTTP/1.1 |
| \`GOCLAW_AGENTS\` | the names below, separated by commas; a worker serves those it can |

It serves these agents with at least ${SLOTS_MIN} slots of its capacity, one per attempt:

| agent | input | does | |
|---|---|---|---|
| \`echo\` | anything | returns its input | required |
| \`sleep\` | \`{"ms": 250}\` | waits that long, then returns \`{"ms": 250}\`; stops early when it is cancelled or dropped | required |
| \`fail\` | \`{"class": "retryable" or "terminal", "message": "…"}\` | fails like this | optional |
| \`listen\` | \`{"count": 2}\` | admits that many signals, then returns the list of their texts in their order | optional, with the capability \`signals\` |

On SIGTERM it finishes what runs, delivers it and exits with 0. Whether it is tested as a worker with a session or as one that
polls is decided by its first call. A worker whose session passes everything but a few cases is not nearly right: those cases are
how work is lost or done twice.

`;

const ENGINE = `
## A daemon under test

The kit starts runs through \`RunService\`, for agents with names of its own, and serves them with workers that misbehave. It can be
pointed at a daemon that does other work: it takes nothing that is not its own, and cancels what it leaves open. Grace, lease and
silence last as long as the protocol says, so the whole takes about a minute.

`;

/** The whole page. */
export function conformanceManual(): string {
  return [
    INTRODUCTION,
    "### Cases for a session\n\n",
    table(WORKER_CASES.session),
    "\n### Cases for polling\n\n",
    table(WORKER_CASES.poll),
    ENGINE,
    table(ENGINE_CASES),
  ].join("");
}

function table(cases: readonly Case<never>[]): string {
  const lines = cases.map(
    ({ name, rule, demand }) => `| \`${name}\` | ${rule}, ${RULES[rule]} | ${demand} |\n`,
  );
  return `| case | rule | demand |\n|---|---|---|\n${lines.join("")}`;
}
