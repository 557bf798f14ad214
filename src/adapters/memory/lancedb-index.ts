/**
 * LanceDB as a {@link VectorIndex}: embedded, in a directory of its own, one table for each embedder. The package is
 * large and optional, so it is loaded when it is configured and its absence is said in plain words. Sessions are stored
 * as the hex of their UTF-8, which no filter expression can be broken out of.
 */
import type { Connection, Table } from "@lancedb/lancedb";
import { FaultError, fault } from "../../base/fault.ts";
import type { VectorHit, VectorIndex, VectorItem } from "../../ports/memory.ts";

export interface LanceDbOptions {
  readonly directory: string;
  /** Names the table. */
  readonly embedderId: string;
}

interface Row {
  readonly [column: string]: unknown;
  readonly id: string;
  readonly _distance: number;
}

/** Vectors in a LanceDB table. */
export class LanceDbIndex implements VectorIndex {
  readonly kind = "lancedb";
  readonly #connection: Connection;
  readonly #tableName: string;
  #table: Table | undefined;
  #changes = 0;

  private constructor(connection: Connection, tableName: string) {
    this.#connection = connection;
    this.#tableName = tableName;
  }

  /** Opens or creates the directory. Rejects with `VECTOR_STORE_FAILED`, also when the package is not installed. */
  static async open(options: LanceDbOptions): Promise<LanceDbIndex> {
    return attempt("open", async () => {
      const { connect } = await import("@lancedb/lancedb");
      const index = new LanceDbIndex(await connect(options.directory), hex(options.embedderId));
      await index.#openTable();
      return index;
    });
  }

  upsert(items: readonly VectorItem[]): Promise<void> {
    return attempt("write", async () => {
      if (items.length === 0) return;
      const rows = items.map(({ sessionId, id, vector }) => ({
        key: `${hex(sessionId)}/${id}`,
        session: hex(sessionId),
        id,
        vector: [...vector],
      }));
      if (this.#table === undefined) {
        this.#table = await this.#connection.createTable(this.#tableName, rows);
        return;
      }
      await this.#table
        .mergeInsert("key")
        .whenMatchedUpdateAll()
        .whenNotMatchedInsertAll()
        .execute(rows);
      await this.#compactNowAndThen();
    });
  }

  remove(sessionId: string, ids: readonly string[]): Promise<void> {
    return attempt("delete", async () => {
      if (ids.length === 0) return;
      const keys = ids.map((id) => `'${hex(sessionId)}/${id.replace(/[^0-9A-Z]/g, "")}'`);
      await this.#table?.delete(`key IN (${keys.join(", ")})`);
      await this.#compactNowAndThen();
    });
  }

  eraseSession(sessionId: string): Promise<void> {
    return attempt("delete", async () => {
      await this.#table?.delete(`session = '${hex(sessionId)}'`);
      // Older versions of a table keep what was deleted; erased means gone from disk as well.
      await this.#compact();
    });
  }

  search(sessionId: string, vector: Float32Array, limit: number): Promise<readonly VectorHit[]> {
    return attempt("search", async () => {
      if (this.#table === undefined || limit === 0) return [];
      const rows = (await this.#table
        .vectorSearch([...vector])
        .distanceType("cosine")
        .where(`session = '${hex(sessionId)}'`)
        .limit(limit)
        .toArray()) as Row[];
      return rows.map((row) => ({ id: row.id, score: 1 - row._distance }));
    });
  }

  count(): Promise<number> {
    return attempt("count", async () => this.#table?.countRows() ?? 0);
  }

  async close(): Promise<void> {
    this.#table?.close();
    this.#connection.close();
  }

  async #openTable(): Promise<void> {
    const names = await this.#connection.tableNames();
    if (names.includes(this.#tableName))
      this.#table = await this.#connection.openTable(this.#tableName);
  }

  /** Every change makes a new version and a small file; a table of thousands of them grows slow. */
  async #compactNowAndThen(): Promise<void> {
    this.#changes++;
    if (this.#changes % COMPACT_EVERY === 0) await this.#compact();
  }

  async #compact(): Promise<void> {
    await this.#table?.optimize({ cleanupOlderThan: FAR_FUTURE, deleteUnverified: true });
  }
}

const COMPACT_EVERY = 64;
/** Older than this is every version there is; the library takes no later date than its own can hold. */
const FAR_FUTURE = new Date("2200-01-01");

function hex(text: string): string {
  return Buffer.from(text, "utf8").toString("hex");
}

async function attempt<T>(operation: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const missing =
      error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
    const detail = missing
      ? "the package @lancedb/lancedb is not installed; add it beside goclaw"
      : error instanceof Error
        ? error.message
        : String(error);
    const of = fault("VECTOR_STORE_FAILED", { store: "lancedb", operation, detail });
    throw new FaultError(of, { cause: error });
  }
}
