/**
 * Checks the image and the compose file as far as that is possible without a container engine: that they copy and mount
 * what exists, that the daemon accepts the environment they set, and that nothing is published beyond loopback.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { loadConfig } from "../../src/config/load.ts";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

interface Service {
  readonly build?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
}

const compose = parse(read("docker-compose.yml")) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const dockerfile = read("Dockerfile")
  .replaceAll(/\\\n\s*/g, "")
  .split("\n");

const configFor = (environment: Readonly<Record<string, string | undefined>>) =>
  loadConfig({ baseDir: ROOT, workingDir: ROOT, environment, flags: {} });

/** `KEY=value` pairs of the ENV instructions. */
function imageEnvironment(): Record<string, string> {
  const pairs = dockerfile
    .filter((line) => line.startsWith("ENV "))
    .flatMap((line) => line.slice(4).split(" "));
  return Object.fromEntries(pairs.map((pair) => pair.split("=") as [string, string]));
}

describe("docker-compose.yml", () => {
  const daemon = compose.services.goclaw;

  test("sets an environment that the daemon accepts", () => {
    // The agents directory exists only inside the container.
    const config = configFor({
      ...imageEnvironment(),
      ...daemon?.environment,
      GOCLAW_AGENTS: ROOT,
    });
    expect(config.listen).toMatchObject({ port: 7420 });
    expect(config.insecure).toBe(true);
    expect(config.data).toBe("/data");
    expect(config.bus).toMatchObject({ kind: "nats" });
  });

  test("names a NATS server that is a service of it", () => {
    const servers = daemon?.environment?.GOCLAW_BUS__NATS__SERVERS;
    const host = new URL(servers ?? "").hostname;
    expect(Object.keys(compose.services)).toContain(host);
    expect(Object.keys(daemon?.depends_on ?? {})).toContain(host);
  });

  test("publishes ports on loopback only", () => {
    const ports = Object.values(compose.services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  test("mounts only what exists", () => {
    const sources = Object.values(compose.services)
      .flatMap((service) => service.volumes ?? [])
      .map((volume) => volume.split(":")[0] ?? "");
    expect(sources.length).toBeGreaterThan(0);
    for (const source of sources) {
      const exists = source.startsWith(".")
        ? existsSync(join(ROOT, source))
        : source in compose.volumes;
      expect(exists, source).toBe(true);
    }
  });
});

describe("Dockerfile", () => {
  test("copies only what exists and .dockerignore lets through", () => {
    const allowed = read(".dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    const copied = dockerfile
      .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
      .flatMap((line) => line.split(" ").slice(1, -1));
    expect([...new Set(copied)].sort()).toEqual(allowed.sort());
    for (const path of copied) expect(existsSync(join(ROOT, path)), path).toBe(true);
  });

  test("sets an environment that the daemon accepts, on loopback", () => {
    const config = configFor(imageEnvironment());
    expect(config.listen).toMatchObject({ host: "127.0.0.1", port: 7420 });
    expect(config.insecure).toBe(false);
  });

  test("runs as another user than root, on the Node.js line the project develops on", () => {
    expect(dockerfile).toContain("USER node");
    const bases = dockerfile.filter((line) => line.startsWith("FROM "));
    for (const base of bases) expect(base).toMatch(/^FROM node:24-slim( AS \w+)?$/);
  });

  test("checks the health of the port it listens on", () => {
    const check = dockerfile.find((line) => line.startsWith("HEALTHCHECK")) ?? "";
    expect(check).toContain("/healthz");
    expect(check).toContain("GOCLAW_LISTEN");
    const argv = JSON.parse(check.slice(check.indexOf("["))) as string[];
    expect(argv.slice(0, 2)).toEqual(["node", "-e"]);
    expect(() => new Function(argv[2] ?? "")).not.toThrow();
  });
});
