import { readFileSync, writeFileSync } from "node:fs";
import { posix } from "node:path";
import { describe, expect, test } from "vitest";
import { readDefinitionText } from "../../src/adapters/definition-file.ts";
import { FaultError } from "../../src/base/fault.ts";
import type { Json } from "../../src/base/payload.ts";
import { environmentTree, variableOf } from "../../src/config/environment.ts";
import { keyOf } from "../../src/config/field.ts";
import type { ConfigProblem, Source } from "../../src/config/read.ts";
import { CONFIG_SCHEMA } from "../../src/config/schema.ts";
import type { Config } from "../../src/config.ts";
import { resolveConfig } from "../../src/config.ts";
import { checkLanes } from "../../src/core/lane/admission.ts";
import { LANE_ORDER_DEFAULT } from "../../src/core/lane/lane.ts";
import { ENGINE_LIMITS } from "../../src/engine/limits.ts";
import { configurationManual } from "../support/config-manual.ts";

const DEFAULTS = { cores: 8, baseDir: "/here", resolvePath: posix.resolve };

function file(tree: Json): Source {
  return { name: "goclaw.yaml", tree, baseDir: "/etc/goclaw" };
}

function environment(variables: Record<string, string>): Source {
  const names = (path: readonly string[]): readonly string[] =>
    path.join(".") === "lanes.named" ? ["default", "io", "cpu", "Big-Lane"] : [];
  return {
    name: "environment",
    tree: environmentTree(CONFIG_SCHEMA, variables, names),
    baseDir: "/here",
    spell: variableOf,
  };
}

function read(...sources: Source[]): Config {
  return resolveConfig(sources, DEFAULTS);
}

function problems(...sources: Source[]): readonly ConfigProblem[] {
  try {
    read(...sources);
  } catch (error) {
    if (error instanceof FaultError && error.fault.code === "CONFIG_INVALID") {
      return error.fault.violations;
    }
    throw error;
  }
  throw new Error("the configuration was accepted");
}

/** `source field: message remedy`, which is all a user sees. */
function lines(...sources: Source[]): string[] {
  return problems(...sources).map((p) => `${p.source} ${p.field}: ${p.message}. ${p.remedy}`);
}

describe("defaults", () => {
  test("an empty configuration is complete", () => {
    const config = read();
    expect(config).toMatchObject({
      listen: { host: "127.0.0.1", port: 7420 },
      insecure: false,
      data: "/here/goclaw-data",
      store: "auto",
      agents: [],
      commandAgents: [],
      pluginThreads: 4,
      drainTimeoutMs: 30_000,
      bus: { kind: "local", nats: { servers: ["nats://127.0.0.1:4222"], createStream: false } },
      log: { level: "info", format: "auto", modules: {} },
      retention: { maxAgeMs: 30 * 86_400_000, maxCount: 1_000_000 },
    });
    expect(config.limits.requestBytes).toBe(4 * 1024 * 1024);
    expect("maxBytes" in config.retention).toBe(false);
    expect(config.bus.nats.tls).toBeUndefined();
  });

  test("the lanes of the smallest definition exist, sized by the machine", () => {
    const { lanes } = read();
    expect(lanes.global).toEqual({ concurrency: 32 });
    expect(lanes.session).toEqual({ scope: "run", concurrency: 1 });
    expect(lanes.named).toEqual([
      { name: "default", concurrency: 32, capacity: 10_000, overflow: { kind: "block" } },
      { name: "io", concurrency: 24, capacity: 10_000, overflow: { kind: "block" } },
      { name: "cpu", concurrency: 8, capacity: 10_000, overflow: { kind: "block" } },
    ]);
  });

  test("defaults do not exceed their ceiling", () => {
    expect(resolveConfig([], { ...DEFAULTS, cores: 2 }).pluginThreads).toBe(2);
    expect(resolveConfig([], { ...DEFAULTS, cores: 64 }).pluginThreads).toBe(4);
  });
});

describe("sources", () => {
  test("later sources win key by key", () => {
    const config = read(
      file({
        listen: "127.0.0.1:1",
        drainTimeout: "1s",
        lanes: { named: { io: { capacity: 5 } } },
      }),
      environment({ GOCLAW_LISTEN: "127.0.0.1:2", GOCLAW_LANES__NAMED__IO__CONCURRENCY: "7" }),
      { name: "command line", tree: { listen: "127.0.0.1:3" }, baseDir: "/here" },
    );
    expect(config.listen.port).toBe(3);
    expect(config.drainTimeoutMs).toBe(1_000);
    expect(config.lanes.named.find(({ name }) => name === "io")).toMatchObject({
      capacity: 5,
      concurrency: 7,
    });
  });

  test("lists are replaced, not appended", () => {
    const config = read(file({ agents: ["a", "b"] }), environment({ GOCLAW_AGENTS: "c, /d" }));
    expect(config.agents).toEqual(["/here/c", "/d"]);
  });

  test("paths count from the source that names them", () => {
    const config = read(
      file({ data: "data", agents: "agents", commandAgents: [{ name: "a", command: ["true"] }] }),
    );
    expect(config.data).toBe("/etc/goclaw/data");
    expect(config.agents).toEqual(["/etc/goclaw/agents"]);
    expect(config.commandAgents[0]?.cwd).toBe("/etc/goclaw");
  });

  test("snake_case is read like camelCase", () => {
    expect(read(file({ drain_timeout: "5s" })).drainTimeoutMs).toBe(5_000);
    expect(read(file({ limits: { request_bytes: "1KiB" } })).limits.requestBytes).toBe(1024);
  });

  test("an absent value in YAML is no value", () => {
    expect(
      read(file({ agents: null, lanes: { named: { gpu: null } } })).lanes.named,
    ).toContainEqual({
      name: "gpu",
      concurrency: 8,
      capacity: 10_000,
      overflow: { kind: "block" },
    });
  });
});

describe("environment", () => {
  test("names follow the table, map names match without case", () => {
    const tree = environmentTree(
      CONFIG_SCHEMA,
      {
        GOCLAW_DRAIN_TIMEOUT: "5s",
        GOCLAW_LANES__NAMED__BIG_LANE__CAPACITY: "9",
        GOCLAW_LANES__NAMED__GPU__CAPACITY: "9",
        GOCLAW_BUS__NATS__SERVERS: "a,b",
        GOCLAW_HTTP__ALLOW: '["10.0.0.0/8"]',
        GOCLAW_COMMAND_AGENTS: '[{"name":"x","command":["true"]}]',
        PATH: "/bin",
      },
      () => ["Big-Lane"],
    );
    expect(tree).toEqual({
      drainTimeout: "5s",
      lanes: { named: { "Big-Lane": { capacity: "9" }, gpu: { capacity: "9" } } },
      bus: { nats: { servers: ["a", "b"] } },
      http: { allow: ["10.0.0.0/8"] },
      commandAgents: [{ name: "x", command: ["true"] }],
    });
  });

  test("variables of the launcher, the client and service links are not settings", () => {
    const variables = {
      GOCLAW_NODE: "/usr/bin/node",
      GOCLAW_SERVER: "http://x",
      GOCLAW_CONFIG: "f",
      GOCLAW_PORT: "tcp://10.0.0.1:7420",
      GOCLAW_PORT_7420_TCP: "tcp://10.0.0.1:7420",
      GOCLAW_SERVICE_HOST: "10.0.0.1",
      GOCLAW_LISTEN: "",
    };
    expect(environmentTree(CONFIG_SCHEMA, variables, () => [])).toEqual({});
  });

  test("a mistake names the variable and the nearest one", () => {
    expect(
      lines(
        environment({
          GOCLAW_LISTN: "x",
          GOCLAW_LANES__GLOBL__CONCURRENCY: "4",
          GOCLAW_COMMAND_AGENTS: "no json",
          GOCLAW_WHATEVER: "1",
        }),
      ),
    ).toEqual([
      'environment GOCLAW_COMMAND_AGENTS: "no json" is not valid. Expected a list.',
      'environment GOCLAW_LANES__GLOBL: unknown key "globl". Did you mean "GOCLAW_LANES__GLOBAL"?',
      'environment GOCLAW_LISTN: unknown key "listn". Did you mean "GOCLAW_LISTEN"?',
      `environment GOCLAW_WHATEVER: unknown key "whatever". Known here: ${Object.keys(
        CONFIG_SCHEMA.fields,
      )
        .map((property) => variableOf([property.replace("Ms", "")]))
        .join(", ")}.`,
    ]);
  });
});

describe("values", () => {
  const config = (tree: Json): Config => read(file(tree));

  test("durations need a unit", () => {
    expect(config({ drainTimeout: "1m30s" }).drainTimeoutMs).toBe(90_000);
    expect(lines(file({ drainTimeout: 30 }))).toEqual([
      "goclaw.yaml drainTimeout: 30 is not valid. Expected a duration from 0ms to 1d, such as `30s`.",
    ]);
  });

  test("sizes are numbers or text", () => {
    expect(config({ limits: { requestBytes: 1000 } }).limits.requestBytes).toBe(1000);
    expect(config({ limits: { requestBytes: "1MB" } }).limits.requestBytes).toBe(1_000_000);
    expect(config({ limits: { requestBytes: "1.5KiB" } }).limits.requestBytes).toBe(1536);
    for (const wrong of ["1 parsec", "-1", "1.5", "", true]) {
      expect(lines(file({ limits: { requestBytes: wrong } }))).toHaveLength(1);
    }
  });

  test("limits can be lowered, not raised", () => {
    expect(config({ limits: { dependencies: 10 } }).limits.dependencies).toBe(10);
    expect(lines(file({ limits: { dependencies: 1_001 } }))).toEqual([
      "goclaw.yaml limits.dependencies: 1001 is not valid. Expected a whole number from 1 to 1000.",
    ]);
  });

  test("overflow and rate of a lane", () => {
    const overflow = (text: string) =>
      config({ lanes: { named: { io: { overflow: text } } } }).lanes.named[1]?.overflow;
    expect(overflow("block")).toEqual({ kind: "block" });
    expect(overflow("drop")).toEqual({ kind: "drop", which: "newest" });
    expect(overflow("drop newest")).toEqual({ kind: "drop", which: "newest" });
    expect(overflow("drop oldest")).toEqual({ kind: "drop", which: "oldest" });
    expect(overflow("redirect cpu")).toEqual({ kind: "redirect", to: "cpu" });
    const rate = (tree: Json) =>
      config({ lanes: { named: { io: { rate: tree } } } }).lanes.named[1]?.rate;
    expect(rate({ limit: 5 })).toEqual({ limit: 5, perMs: 1_000, burst: 5 });
    expect(rate({ limit: 5, per: "1m", burst: 9 })).toEqual({ limit: 5, perMs: 60_000, burst: 9 });
  });

  test("limits that nobody lowers are the engine's own", () => {
    expect(config({}).limits).toMatchObject(ENGINE_LIMITS);
    expect(lines(file({ limits: { timer: "1s", payloadWarnBytes: "3MiB" } }))).toHaveLength(2);
    expect(config({ limits: { timer: "5s" } }).limits.timerMs).toBe(5_000);
  });

  test("order of waiting tasks", () => {
    const order = (tree: Json) => config({ lanes: { order: tree } }).lanes.order;
    expect(order({})).toEqual(LANE_ORDER_DEFAULT);
    expect(order({ aging: "2s", weights: { gold: 5 } })).toEqual({
      agingMs: 2_000,
      weights: { gold: 5 },
    });
    expect(lines(file({ lanes: { order: { aging: "2d", weights: { gold: 0 } } } }))).toEqual([
      'goclaw.yaml lanes.order.aging: "2d" is not valid. Expected a duration from 1ms to 1d, such as `30s`.',
      "goclaw.yaml lanes.order.weights.gold: 0 is not valid. Expected a whole number from 1 to 1000.",
    ]);
    const { lanes } = read(environment({ GOCLAW_LANES__ORDER__WEIGHTS__GOLD: "3" }));
    expect(lanes.order?.weights).toEqual({ gold: 3 });
    expect(checkLanes(lanes)).toBeUndefined();
  });

  test("a stream's name has no dots, which JetStream refuses", () => {
    const stream = (name: string) => file({ bus: { nats: { stream: name } } });
    expect(read(stream("GO_CLAW-1")).bus.nats.stream).toBe("GO_CLAW-1");
    expect(lines(stream("go.claw"))).toEqual([
      'goclaw.yaml bus.nats.stream: "go.claw" is not valid. Expected letters, digits, `_`, `-`, at most 128.',
    ]);
  });

  test("addresses", () => {
    expect(config({ listen: "[::1]:0" }).listen).toEqual({ host: "::1", port: 0 });
    expect(config({ listen: "localhost:80" }).listen).toEqual({ host: "localhost", port: 80 });
    expect(config({ listen: "0.0.0.0:80", insecure: true }).listen.host).toBe("0.0.0.0");
    expect(lines(file({ listen: ":80" }))).toHaveLength(1);
    expect(lines(file({ listen: "127.0.0.1:99999" }))).toEqual([
      "goclaw.yaml listen: 99999 is not a port. Ports end at 65535.",
    ]);
    for (const host of ["0.0.0.0", "[::]", "192.168.1.2", "example.org", "127.example.org"]) {
      expect(lines(file({ listen: `${host}:80` }))[0]).toMatch(
        /can be reached from other machines/,
      );
    }
  });
});

test("times of workers must leave room for a probe", () => {
  expect(read(file({ workers: { probe: "1s", lease: "3s", grace: "0ms" } })).workers).toEqual({
    probeMs: 1_000,
    silenceMs: 15_000,
    ackMs: 3_000,
    leaseMs: 3_000,
    graceMs: 0,
    pollMs: 60_000,
    affinityMs: 200,
  });
  expect(lines(file({ workers: { lease: "5s" } }))).toEqual([
    "goclaw.yaml workers.lease: 5000 ms is no longer than the time between two probes (5000 ms). " +
      "Workers would come and go without fault; take at least three times `workers.probe`.",
  ]);
});

describe("problems", () => {
  test("all problems of all sources come at once, with positions", () => {
    const source: Source = {
      ...file({
        lisen: "x",
        store: "mongo",
        lanes: { named: { io: { rate: { limt: 1 } } } },
        commandAgents: [{ command: [] }, { name: "b", comand: ["x"] }],
      }),
      position: (path) => ({ line: path.length, column: 1 }),
    };
    const found = problems(source, environment({ GOCLAW_INSECURE: "maybe" }));
    expect(found.map((p) => [p.source, p.field, p.message, p.line])).toEqual([
      ["goclaw.yaml", "lisen", 'unknown key "lisen"', 1],
      ["goclaw.yaml", "store", '"mongo" is not valid', 1],
      ["goclaw.yaml", "lanes.named.io.rate.limt", 'unknown key "limt"', 5],
      ["goclaw.yaml", "commandAgents[0].command", "[] is not valid", 3],
      ["goclaw.yaml", "commandAgents[0].name", "is missing", 2],
      ["goclaw.yaml", "commandAgents[1].comand", 'unknown key "comand"', 3],
      ["goclaw.yaml", "commandAgents[1].command", "is missing", 2],
      ["environment", "GOCLAW_INSECURE", '"maybe" is not valid', undefined],
      ["goclaw.yaml", "lanes.named.io.rate.limit", "is missing", 4],
    ]);
  });

  test("a wrong value is not also missing", () => {
    expect(lines(file({ lanes: { global: { rate: { limit: "x" } } } }))).toHaveLength(1);
    expect(lines(file({ commandAgents: [{ name: 5.5, command: [] }] }))).toHaveLength(1);
  });

  test("names that could reach a prototype are refused", () => {
    const tree = JSON.parse('{"log": {"modules": {"__proto__": "debug", "constructor": "debug"}}}');
    expect(lines(file(tree))).toEqual([
      'goclaw.yaml log.modules.__proto__: "__proto__" cannot be a name. Choose another name.',
      'goclaw.yaml log.modules.constructor: "constructor" cannot be a name. Choose another name.',
    ]);
  });

  test("structures of the wrong shape", () => {
    expect(lines(file([]))).toEqual([
      "goclaw.yaml : [] is not valid. Expected a mapping of keys to values.",
    ]);
    expect(lines(file({ lanes: 5, commandAgents: {} }))).toHaveLength(2);
  });

  test("names of lanes and agents", () => {
    expect(
      lines(
        file({
          lanes: { named: { "a b": {}, global: {}, io: { overflow: "redirect cpo" } } },
          commandAgents: [
            { name: "a", command: ["x"] },
            { name: "a", command: ["y"] },
          ],
        }),
      ),
    ).toEqual([
      'goclaw.yaml lanes.named.io.overflow: no lane "cpo" exists. Did you mean "cpu"?',
      'goclaw.yaml lanes.named.a b: "a b" cannot name a lane. Use letters, digits, `_`, `.`, `-`, at most 128.',
      'goclaw.yaml lanes.named.global: "global" is not a named lane. Choose another name, or set `lanes.global`.',
      'goclaw.yaml commandAgents[1].name: "a" is already the name of commandAgents[0]. Give every agent its own name.',
    ]);
  });
});

test("every setting is read by the composition root, so that none is without effect", () => {
  const app = readFileSync(new URL("../../src/app.ts", import.meta.url), "utf8");
  const config = read();
  const paths = [
    ...Object.keys(config).filter((key) => key !== "limits"),
    ...Object.keys(config.limits).map((key) => `limits.${key}`),
  ];
  const words = app.replace(/\{ ([\w, ]+) \}: Config/g, (_, names: string) =>
    names.replace(/\w+/g, (name) => `config.${name}`),
  );
  expect(words).toContain(" limits: config.limits,");
  const isRead = (path: string): boolean =>
    words.includes(`config.${path}`) || path.replace("limits.", "") in ENGINE_LIMITS;
  expect(paths.filter((path) => !isRead(path))).toEqual([]);
});

test("the example uses every section and is accepted as it stands", () => {
  const path = new URL("../../examples/goclaw.yaml", import.meta.url);
  const parsed = readDefinitionText(readFileSync(path, "utf8"), { fileName: "goclaw.yaml" });
  if ("violations" in parsed) throw new Error(JSON.stringify(parsed.violations));
  const sections = Object.keys(parsed.value as object);
  const known = Object.keys(CONFIG_SCHEMA.fields).map(keyOf);
  expect(known.filter((key) => !sections.includes(key))).toEqual(["insecure"]);
  const config = read(file(parsed.value));
  expect(config.lanes.named.map(({ name }) => name)).toEqual([
    "default",
    "io",
    "cpu",
    "llm",
    "gpu",
  ]);
});

test("docs/configuration.md is what the table prints", () => {
  const page = new URL("../../docs/configuration.md", import.meta.url);
  if (process.env.UPDATE_DOCS) writeFileSync(page, configurationManual());
  expect(readFileSync(page, "utf8")).toBe(configurationManual());
});
