/**
 * The few endpoints of Weaviate that are used, as its documentation describes them: schema, batch of objects, objects,
 * batch delete, GraphQL Get with nearVector and where, and Aggregate. The real server cannot be had here, so this is
 * strict: unknown paths, classes, properties, tokenisations, malformed ids and vectors of another length are refused.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

interface Stored {
  readonly properties: Readonly<Record<string, string>>;
  readonly vector: readonly number[];
}

interface Class {
  readonly properties: ReadonlySet<string>;
  readonly objects: Map<string, Stored>;
}

type Answer = readonly [status: number, body?: unknown];

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** A server on a free port. */
export class WeaviateDouble {
  readonly #classes = new Map<string, Class>();
  readonly #server = createServer((request, response) => {
    void this.#answer(request).then(([status, body]) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body === undefined ? "" : JSON.stringify(body));
    });
  });
  #url = "";

  get url(): string {
    return this.#url;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.#url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  clear(): void {
    this.#classes.clear();
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const body = text === "" ? undefined : JSON.parse(text);
    const [, version, first = "", second = "", third = ""] = (request.url ?? "").split("/");
    if (version !== "v1") return [404];
    const route = `${request.method} ${first}${second === "objects" ? "/objects" : ""}`;
    switch (route) {
      case "GET schema":
        return this.#classes.has(second) ? [200, { class: second }] : [404];
      case "POST schema":
        return this.#createClass(body);
      case "POST batch/objects":
        return [200, body.objects.map((one: Record<string, unknown>) => this.#put(one))];
      case "DELETE batch/objects":
        return this.#batchDelete(body.match);
      case "DELETE objects":
        return this.#deleteObject(second, third);
      case "POST graphql":
        return [200, this.#graphql(body.query)];
      default:
        return [404];
    }
  }

  #createClass(body: Record<string, never>): Answer {
    const {
      class: name,
      vectorizer,
      vectorIndexConfig,
      properties,
    } = body as unknown as {
      class: string;
      vectorizer: string;
      vectorIndexConfig: { distance: string };
      properties: { name: string; dataType: string[]; tokenization: string }[];
    };
    if (!/^[A-Z][_0-9A-Za-z]*$/.test(name) || this.#classes.has(name)) return [422, { error: [] }];
    const isFit =
      vectorizer === "none" &&
      vectorIndexConfig.distance === "cosine" &&
      properties.every(
        ({ dataType, tokenization }) => dataType[0] === "text" && tokenization === "field",
      );
    if (!isFit) return [422, { error: [{ message: "this double does only what is used" }] }];
    this.#classes.set(name, {
      properties: new Set(properties.map(({ name: property }) => property)),
      objects: new Map(),
    });
    return [200, body];
  }

  #put(object: Record<string, unknown>): unknown {
    const {
      class: name,
      id,
      properties,
      vector,
    } = object as {
      class: string;
      id: string;
      properties: Record<string, string>;
      vector: number[];
    };
    const known = this.#classes.get(name);
    const [other] = known?.objects.values() ?? [];
    const problem =
      known === undefined
        ? "class not found"
        : !UUID.test(id)
          ? "invalid id"
          : Object.keys(properties).some((property) => !known.properties.has(property))
            ? "no such prop"
            : other !== undefined && other.vector.length !== vector.length
              ? "vector lengths don't match"
              : undefined;
    if (problem !== undefined)
      return { id, result: { status: "FAILED", errors: { error: [{ message: problem }] } } };
    known?.objects.set(id, { properties, vector });
    return { id, result: { status: "SUCCESS" } };
  }

  #deleteObject(name: string, id: string): Answer {
    return this.#classes.get(name)?.objects.delete(id) ? [204] : [404];
  }

  #batchDelete(match: {
    class: string;
    where: { path: string[]; operator: string; valueText: string };
  }): Answer {
    const known = this.#classes.get(match.class);
    if (known === undefined || match.where.operator !== "Equal") return [422];
    const [property = ""] = match.where.path;
    let matches = 0;
    for (const [id, { properties }] of known.objects) {
      if (properties[property] !== match.where.valueText) continue;
      matches++;
      known.objects.delete(id);
    }
    return [200, { results: { matches, successful: matches, failed: 0 } }];
  }

  #graphql(query: string): unknown {
    const aggregate = /^\{Aggregate \{(\w+) \{meta \{count\}\}\}\}$/.exec(query);
    if (aggregate !== null) {
      const count = this.#classes.get(aggregate[1] ?? "")?.objects.size ?? 0;
      return { data: { Aggregate: { [aggregate[1] ?? ""]: [{ meta: { count } }] } } };
    }
    const get =
      /^\{Get \{(\w+)\(limit: (\d+), where: \{path: \["(\w+)"\], operator: Equal, valueText: "([^"\\]*)"\}, nearVector: \{vector: (\[[^\]]*\])\}\) \{entry _additional \{distance\}\}\}\}$/.exec(
        query,
      );
    if (get === null) return { errors: [{ message: "Syntax Error GraphQL" }] };
    const [, name = "", limit = "", property = "", value = "", near = ""] = get;
    const vector = JSON.parse(near) as number[];
    const found = [...(this.#classes.get(name)?.objects.values() ?? [])]
      .filter(({ properties }) => properties[property] === value)
      .map((one) => ({
        entry: one.properties.entry,
        _additional: { distance: 1 - cosine(one.vector, vector) },
      }))
      .sort((a, b) => a._additional.distance - b._additional.distance);
    return { data: { Get: { [name]: found.slice(0, Number(limit)) } } };
  }
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, part, at) => sum + part * (b[at] ?? 0), 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}
