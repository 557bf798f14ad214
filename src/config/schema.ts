/**
 * Everything that can be configured, in one table: key, kind, bounds, default and the manual's line. Files,
 * `GOCLAW_*` variables and flags all pass through it, and docs/configuration.md is printed from it. Limits can be
 * lowered but not raised, because what is above them was never tested.
 */
import { TIMER_MAX_MS } from "../base/time.ts";
import type { BytesField, DurationField, GroupField, IntegerField, PerCore } from "./field.ts";
import { MEMORY } from "./memory-schema.ts";

const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const KIB = 1024;
const MIB = 1024 * KIB;
const TIB = 1024 * 1024 * MIB;
const COUNT_MAX = 1_000_000_000;

const NAME = {
  pattern: /^[A-Za-z0-9_.-]{1,128}$/,
  expects: "letters, digits, `_`, `.`, `-`, at most 128",
};
const LEVELS = ["debug", "info", "warn", "error"] as const;

const countLimit = <Max extends number>(max: Max, doc: string) =>
  ({ kind: "integer", min: 1, max, default: max, doc }) as const satisfies IntegerField;
const bytesLimit = <Max extends number>(max: Max, doc: string) =>
  ({ kind: "bytes", min: 1, max, default: max, doc }) as const satisfies BytesField;

/**
 * Lanes that exist without being declared, by their concurrency. `io` and `cpu` together fill the global lane, so that
 * neither can keep the other from running.
 */
export const BUILT_IN_LANES: Readonly<Record<string, PerCore>> = {
  default: { perCore: 4 },
  io: { perCore: 3 },
  cpu: { perCore: 1 },
};

const RATE = {
  kind: "group",
  optional: true,
  doc: "Token bucket that limits starts; absent means no limit",
  fields: {
    limit: { kind: "integer", min: 1, max: COUNT_MAX, required: true, doc: "Starts per period" },
    perMs: { kind: "duration", minMs: 1, maxMs: DAY, default: SECOND, doc: "Length of the period" },
    burst: {
      kind: "integer",
      min: 1,
      max: COUNT_MAX,
      doc: "Most starts at once; equal to `limit` when absent",
    },
  },
} as const satisfies GroupField;

const LANES = {
  kind: "group",
  doc: "Who may run now, and how many at once",
  fields: {
    global: {
      kind: "group",
      doc: "The one lane that every task passes",
      fields: {
        concurrency: {
          kind: "integer",
          min: 1,
          max: 1_000_000,
          default: { perCore: 4 },
          doc: "Slots of the whole daemon",
        },
        rate: RATE,
      },
    },
    session: {
      kind: "group",
      doc: "Order among runs that share a `session_id`",
      fields: {
        scope: {
          kind: "choice",
          words: ["run", "task"],
          default: "run",
          doc: "`run`: runs of a session go one at a time, in order; `task`: only its tasks share slots",
        },
        concurrency: {
          kind: "integer",
          min: 1,
          max: 1_000_000,
          default: 1,
          doc: "Slots of one session when the scope is `task`",
        },
      },
    },
    order: {
      kind: "group",
      doc: "In which order waiting tasks start, the same in every lane",
      fields: {
        agingMs: {
          kind: "duration",
          minMs: 1,
          maxMs: DAY,
          default: 30 * SECOND,
          doc: "A priority that is passed over for this long gains one step",
        },
        weights: {
          kind: "map",
          name: "NAMESPACE",
          of: {
            kind: "integer",
            min: 1,
            max: 1_000,
            doc: "Share of every session of the namespace",
          },
          doc: "Shares by namespace; those not named here weigh 1",
        },
      },
    },
    named: {
      kind: "map",
      name: "LANE",
      doc: "Lanes that tasks name; `default`, `io` and `cpu` exist unless changed",
      of: {
        kind: "group",
        doc: "One lane",
        fields: {
          concurrency: {
            kind: "integer",
            min: 1,
            max: 1_000_000,
            default: { perCore: 1 },
            doc: "Slots; a task takes `cost` of them",
          },
          capacity: {
            kind: "integer",
            min: 1,
            max: 10_000_000,
            default: 10_000,
            doc: "Most tasks that may queue",
          },
          rate: RATE,
          overflow: {
            kind: "text",
            pattern: /^(?:block|drop(?: newest| oldest)?|redirect [A-Za-z0-9_.-]{1,128})$/,
            expects: "`block`, `drop newest`, `drop oldest` or `redirect LANE`",
            default: "block",
            doc: "What happens to a task that finds the queue full: `block`, `drop newest`, `drop oldest`, `redirect LANE`",
          },
        },
      },
    },
  },
} as const satisfies GroupField;

const BUS = {
  kind: "group",
  doc: "Where committed events go beyond this process",
  fields: {
    kind: {
      kind: "choice",
      words: ["local", "nats"],
      default: "local",
      doc: "`local` keeps events in the process, `nats` publishes them",
    },
    nats: {
      kind: "group",
      doc: "The NATS server, for kind `nats`",
      fields: {
        servers: {
          kind: "list",
          of: { kind: "text", doc: "Address" },
          min: 1,
          default: ["nats://127.0.0.1:4222"],
          doc: "Servers to try",
        },
        stream: {
          kind: "text",
          pattern: /^[A-Za-z0-9_-]{1,128}$/,
          expects: "letters, digits, `_`, `-`, at most 128",
          doc: "JetStream stream that stores the events; absent means core NATS",
        },
        createStream: {
          kind: "flag",
          default: false,
          doc: "Create the stream when it does not exist",
        },
        user: { kind: "text", doc: "User name" },
        passwordEnv: { kind: "text", doc: "Environment variable that holds the password" },
        tokenEnv: { kind: "text", doc: "Environment variable that holds the token" },
        tls: {
          kind: "group",
          optional: true,
          doc: "TLS towards NATS",
          fields: {
            ca: { kind: "path", doc: "Certificate authority, PEM" },
            cert: { kind: "path", doc: "Client certificate, PEM" },
            key: { kind: "path", doc: "Client key, PEM" },
          },
        },
      },
    },
  },
} as const satisfies GroupField;

const workerTime = <Default extends number>(minMs: number, ms: Default, doc: string) =>
  ({ kind: "duration", minMs, maxMs: HOUR, default: ms, doc }) as const satisfies DurationField;

const WORKERS = {
  kind: "group",
  doc: "Times that the daemon and its workers live by; see docs/workers.md",
  fields: {
    probeMs: workerTime(
      100,
      5 * SECOND,
      "Time between two probes; three without an answer make a worker silent",
    ),
    silenceMs: workerTime(
      300,
      15 * SECOND,
      "A worker that hears nothing for this long connects again",
    ),
    ackMs: workerTime(100, 3 * SECOND, "Longest time until an assignment is acknowledged"),
    leaseMs: workerTime(300, 30 * SECOND, "A lease that is not renewed for this long is lost"),
    graceMs: workerTime(
      0,
      10 * SECOND,
      "How long leases wait for a worker whose connection ended, also after a restart of the daemon",
    ),
    pollMs: workerTime(
      SECOND,
      60 * SECOND,
      "A polling worker that does not call for this long is gone",
    ),
    affinityMs: workerTime(0, 200, "How long a task waits for the worker that had its session"),
  },
} as const satisfies GroupField;

const LIMITS = {
  kind: "group",
  doc: "Bounds of what callers can make the daemon hold; they can be lowered, not raised",
  fields: {
    attempts: countLimit(100, "Attempts a task may ask for; a task that names none asks for 4"),
    commands: countLimit(
      10_000,
      "Commands waiting for the engine before callers are told to come back",
    ),
    definitionBytes: bytesLimit(MIB, "One definition, written as JSON without its defaults"),
    dependencies: countLimit(1_000, "Dependencies of one task"),
    edges: countLimit(100_000, "Dependencies of all tasks of a definition together"),
    headerBytes: bytesLimit(16 * KIB, "Headers of one request"),
    historyBytes: bytesLimit(50_000_000, "Events of one run together, estimated"),
    historyEvents: countLimit(50_000, "Events of one run"),
    jsonDepth: countLimit(64, "Nesting of JSON in requests and definitions"),
    labelBytes: bytesLimit(256, "One label's key or value"),
    labels: countLimit(32, "Labels of a run or task"),
    payloadBytes: bytesLimit(2 * MIB, "One input, output, checkpoint or payload of a signal"),
    payloadWarnBytes: {
      kind: "bytes",
      min: 1,
      max: 2 * MIB,
      default: 256 * KIB,
      doc: "Inputs and outputs larger than this are logged",
    },
    pendingTasks: countLimit(2_000_000, "Tasks of all open runs that are not terminal"),
    requestBytes: bytesLimit(4 * MIB, "One request message"),
    runSignals: countLimit(1_000, "Signals of one run that no agent has admitted yet"),
    streams: {
      kind: "integer",
      min: 1,
      max: 20_000,
      default: 1_000,
      doc: "Open streams of all connections; the one limit that can be raised as well",
    },
    streamsPerConnection: countLimit(100, "Open streams of one connection"),
    taskSignals: countLimit(16, "Signals of one task that its agent has not admitted yet"),
    tasks: countLimit(10_000, "Tasks of one run, instances of `for_each` included"),
    timerMs: {
      kind: "duration",
      // The grace of a stop that names none.
      minMs: 5 * SECOND,
      maxMs: TIMER_MAX_MS,
      default: TIMER_MAX_MS,
      doc: "Longest timeout, deadline, grace or wait",
    },
    watcherBytes: bytesLimit(64 * KIB, "Events buffered for one watcher before it is cut off"),
  },
} as const satisfies GroupField;

/** The whole table. */
export const CONFIG_SCHEMA = {
  kind: "group",
  doc: "Configuration of the daemon and of `goclaw run`",
  fields: {
    listen: {
      kind: "text",
      pattern: /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):\d{1,5}$/,
      expects: "`HOST:PORT`, such as `127.0.0.1:7420` or `[::1]:0`",
      default: "127.0.0.1:7420",
      doc: "Address to listen on; port 0 takes a free one",
    },
    insecure: {
      kind: "flag",
      default: false,
      doc: "Permit `listen` on an address other machines can reach, although nobody is authenticated",
    },
    data: {
      kind: "path",
      default: "goclaw-data",
      doc: "Directory of the journal; created when absent",
    },
    reserveBytes: {
      kind: "bytes",
      min: 0,
      max: TIB,
      default: 64 * MIB,
      doc: "Room kept back in the data directory; given up by a start on a full disk, 0 keeps none",
    },
    store: {
      kind: "choice",
      words: ["auto", "rocksdb", "leveldb", "memory"],
      default: "auto",
      doc: "`auto` takes RocksDB where it loads, else LevelDB; `memory` keeps nothing",
    },
    agents: {
      kind: "list",
      of: { kind: "path", doc: "Directory" },
      default: [],
      doc: "Directories of plugin agents; without this key, `agents` beside the definition or in the working directory, if it exists",
    },
    pluginThreads: {
      kind: "integer",
      min: 1,
      max: 64,
      default: { perCore: 1, atMost: 4 },
      doc: "Threads that run plugin agents",
    },
    commandAgents: {
      kind: "records",
      doc: "Agents that are programs; see docs/agents.md",
      fields: {
        name: { kind: "text", ...NAME, required: true, doc: "Name that tasks use" },
        command: {
          kind: "list",
          of: { kind: "text", doc: "Argument" },
          min: 1,
          required: true,
          doc: "Program and arguments; no shell is involved",
        },
        format: {
          kind: "choice",
          words: ["json", "text"],
          default: "json",
          doc: "What standard output holds: a JSON value, or text",
        },
        stdin: {
          kind: "choice",
          words: ["once", "stream"],
          default: "once",
          doc: "`stream` keeps standard input open and sends signals as further lines",
        },
        cwd: { kind: "path", default: ".", doc: "Working directory" },
        env: {
          kind: "map",
          name: "VARIABLE",
          of: { kind: "text", doc: "Value" },
          doc: "Variables set for the program",
        },
        passEnv: {
          kind: "list",
          of: { kind: "text", doc: "Variable" },
          default: [],
          doc: "Variables passed on from the daemon's own environment; all others are withheld",
        },
        timeoutMs: {
          kind: "duration",
          minMs: 1,
          maxMs: TIMER_MAX_MS,
          doc: "Longest attempt where the task names none",
        },
        graceMs: {
          kind: "duration",
          minMs: 0,
          maxMs: HOUR,
          default: 5 * SECOND,
          doc: "Time to end after SIGTERM before SIGKILL",
        },
        maxOutputBytes: {
          kind: "bytes",
          min: 1,
          max: 2 * MIB,
          default: 2 * MIB,
          doc: "Most standard output",
        },
        cost: { kind: "integer", min: 1, max: 1_000, default: 1, doc: "Slots an attempt takes" },
        version: { kind: "text", default: "", doc: "Free text shown by `goclaw agents`" },
      },
    },
    http: {
      kind: "group",
      doc: "The built-in `http` agent",
      fields: {
        allow: {
          kind: "list",
          of: { kind: "text", doc: "Host" },
          default: [],
          doc: "Hosts or networks (CIDR) it may reach although they are private",
        },
      },
    },
    lanes: LANES,
    retention: {
      kind: "group",
      doc: "How long finished runs are kept; whichever rule is hit first deletes",
      fields: {
        everyMs: {
          kind: "duration",
          minMs: 100,
          maxMs: DAY,
          default: 60 * SECOND,
          doc: "Time between two looks for what to delete",
        },
        maxAgeMs: {
          kind: "duration",
          minMs: SECOND,
          maxMs: 100 * 365 * DAY,
          default: 30 * DAY,
          doc: "Oldest finished run",
        },
        maxCount: {
          kind: "integer",
          min: 1,
          max: COUNT_MAX,
          default: 1_000_000,
          doc: "Most finished runs",
        },
        maxBytes: {
          kind: "bytes",
          min: MIB,
          max: 1024 * TIB,
          doc: "Most bytes of the data directory",
        },
      },
    },
    snapshots: {
      kind: "group",
      doc: "Compaction of long histories",
      fields: {
        everyEvents: {
          kind: "integer",
          min: 10,
          max: 50_000,
          default: 1_000,
          doc: "Events of a run between two snapshots",
        },
        trim: {
          kind: "flag",
          default: false,
          doc: "Delete the events of an open run behind its snapshot; watchers with an older cursor get a GAP",
        },
      },
    },
    drainTimeoutMs: {
      kind: "duration",
      minMs: 0,
      maxMs: DAY,
      default: 30 * SECOND,
      doc: "How long a daemon that is told to stop waits for running attempts",
    },
    bus: BUS,
    log: {
      kind: "group",
      doc: "Log on standard error",
      fields: {
        level: {
          kind: "choice",
          words: LEVELS,
          default: "info",
          doc: "Least severe level written",
        },
        format: {
          kind: "choice",
          words: ["auto", "json", "pretty"],
          default: "auto",
          doc: "`auto` is pretty in a terminal and JSON elsewhere",
        },
        modules: {
          kind: "map",
          name: "MODULE",
          of: { kind: "choice", words: LEVELS, doc: "Level" },
          doc: "Levels of single modules, such as `server: debug`",
        },
      },
    },
    memory: MEMORY,
    workers: WORKERS,
    limits: LIMITS,
  },
} as const satisfies GroupField;
