/**
 * A real daemon of its own for a test: a fresh data directory, a free port, an agent that listens to signals. It is
 * gone when the test ends. Clients speak to it through the network only.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { onTestFinished } from "vitest";
import { type GoclawProcess, start } from "./goclaw-process.ts";
import { type Protocol, transportOf } from "./serve.ts";

/** Says that it listens, then returns the first steer signal it gets. */
const LISTENER = `
export const listener = {
  name: "listener",
  async run(input, ctx) {
    ctx.progress(1, "listening");
    for (;;) {
      const steer = ctx.signals().find((signal) => signal.kind === "steer");
      if (steer !== undefined) return { text: steer.text, payload: steer.payload };
      if (ctx.signal.aborted) throw ctx.signal.reason;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  },
};
`;

export interface DaemonOptions {
  /** Keep the data of an earlier daemon. */
  readonly directory?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** `HOST:PORT` of an earlier daemon, for clients that come back by themselves. A free port by default. */
  readonly listen?: string;
}

export interface TestDaemon {
  readonly address: string;
  /** `HOST:PORT`. */
  readonly authority: string;
  readonly process: GoclawProcess;
  /** Holds data and agents; pass it on to start again. */
  readonly directory: string;
  client<S extends DescService>(service: S, protocol?: Protocol): Client<S>;
}

/** Starts a daemon; resolves once it listens. */
export async function startDaemon(options: DaemonOptions = {}): Promise<TestDaemon> {
  const { directory = freshDirectory(), listen = "127.0.0.1:0" } = options;
  const process = start(
    ["serve", "--listen", listen, "--data", join(directory, "data"), "--agents", "agents"],
    { cwd: directory, ...(options.env === undefined ? {} : { env: options.env }) },
  );
  const [, authority = ""] = await process.until(/listening on http:\/\/(\S+)\n/);
  const address = `http://${authority}`;
  return {
    address,
    authority,
    process,
    directory,
    client: (service, protocol = "grpc") => createClient(service, transportOf(protocol, address)),
  };
}

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "goclaw-daemon-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "agents"));
  writeFileSync(join(directory, "agents/listener.mjs"), LISTENER);
  return directory;
}
