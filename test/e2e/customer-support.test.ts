/**
 * The support example as a user runs it: its own workflow file and agents, its own tickets, with and without a language
 * model. The model is a server of this test.
 */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { goclaw } from "../support/goclaw-process.ts";

const EXAMPLE = join(import.meta.dirname, "../../examples/customer-support");

interface Resolution {
  readonly category: string;
  readonly priority: string;
  readonly queue: string;
  readonly needsPerson: boolean;
  readonly answer: string;
  readonly writtenBy: string;
}

async function resolve(
  input: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Resolution> {
  const words = ["run", join(EXAMPLE, "workflow.yaml"), "--json", "--input", input];
  const { exit, stdout, stderr } = await goclaw(words, { env: { OPENAI_BASE_URL: "", ...env } });
  expect(exit, stderr).toBe(0);
  const last = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as {
    readonly output: { readonly resolve: Resolution };
  };
  return last.output.resolve;
}

const ticket = (name: string) => `@${join(EXAMPLE, "tickets", `${name}.json`)}`;

/** A model that gives one answer, and what it was asked. */
async function model(status: number, answer: unknown) {
  const asked: { readonly request: IncomingMessage; readonly body: string }[] = [];
  const server = createServer(async (request, response) => {
    asked.push({ request, body: await text(request) });
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { asked, env: { OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1/`, OPENAI_MODEL: "tiny" } };
}

test("the workflow is the one of the first page, word for word", () => {
  expect(readFileSync(join(EXAMPLE, "workflow.yaml"), "utf8")).toBe(`name: customer_support
tasks:
  - { id: intake,   agent: IntakeAgent,   lane: io }
  - { id: classify, agent: ClassifyAgent, deps: [intake],   lane: cpu }
  - { id: resolve,  agent: ResolveAgent,  deps: [classify], lane: cpu,
      memory: { retrieve: { vector_query: "{{classify.category}}", top_k: 5 } } }
`);
});

describe("without a model", () => {
  test.each([
    ["refund", { category: "billing", priority: "raised", queue: "finance", needsPerson: false }],
    ["outage", { category: "technical", priority: "high", queue: "engineering (escalated)" }],
    ["parcel", { category: "shipping", priority: "normal", queue: "logistics" }],
    ["unclear", { category: "general", priority: "normal", needsPerson: true }],
  ])("the %s ticket is answered by rules", async (name, wanted) => {
    expect(await resolve(ticket(name))).toMatchObject({ ...wanted, writtenBy: "rules" });
  });

  test("the customer's own words count, not what they quote", async () => {
    const body = "The app crashes.\n\nOn Monday, Support wrote:\n> refund refund refund invoice";
    expect(await resolve(JSON.stringify({ body }))).toMatchObject({ category: "technical" });
  });

  test("facts that were found are used, missing ones are asked for", async () => {
    expect((await resolve(ticket("refund"))).answer).toMatch(
      /^Hello Maria Lindqvist,\n\n.*about A-48213\.\n/,
    );
    expect((await resolve(ticket("parcel"))).answer).toContain("send us your order number?");
  });

  test("a ticket without words fails at once", async () => {
    const words = ["run", join(EXAMPLE, "workflow.yaml"), "--plain", "--input", '{"body": " "}'];
    const { exit, stdout } = await goclaw(words);
    expect(exit).toBe(1);
    expect(stdout).toContain('the ticket has no "body"');
    expect(stdout).not.toContain("task_retrying");
  });
});

describe("with a model", () => {
  test("the words are the model's, the decision is the rules'", async () => {
    const { asked, env } = await model(200, {
      choices: [{ message: { content: " Dear Maria, we look into it. " } }],
    });
    expect(await resolve(ticket("refund"), { ...env, OPENAI_API_KEY: "secret" })).toMatchObject({
      category: "billing",
      queue: "finance",
      answer: "Dear Maria, we look into it.",
      writtenBy: "model tiny",
    });
    expect(asked).toHaveLength(1);
    const [{ request, body } = expect.fail()] = asked;
    expect(request.url).toBe("/v1/chat/completions");
    expect(request.headers.authorization).toBe("Bearer secret");
    expect(JSON.parse(body)).toMatchObject({ model: "tiny" });
    expect(body).toContain("A-48213");
  });

  test.each([
    ["refuses", 503, {}, "rules (tiny: HTTP 503)"],
    ["says nothing", 200, { choices: [] }, "rules (tiny: the answer is empty)"],
  ])("that %s the template is used, and that is said", async (_what, status, answer, writtenBy) => {
    const { env } = await model(status, answer);
    const resolution = await resolve(ticket("refund"), env);
    expect(resolution).toMatchObject({ writtenBy });
    expect(resolution.answer).toContain("refund whatever was too much");
  });
});
