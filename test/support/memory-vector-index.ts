/** The in-memory twin of the vector stores: exact, and failing when told to. */
import { FaultError, fault } from "../../src/base/fault.ts";
import type { VectorHit, VectorIndex, VectorItem } from "../../src/ports/memory.ts";

export class MemoryVectorIndex implements VectorIndex {
  readonly kind = "memory";
  readonly #sessions = new Map<string, Map<string, Float32Array>>();
  /** While set, every call is refused. */
  isDown = false;
  searches = 0;

  async upsert(items: readonly VectorItem[]): Promise<void> {
    this.#check("write");
    for (const { sessionId, id, vector } of items) {
      const session = this.#sessions.get(sessionId) ?? new Map();
      this.#sessions.set(sessionId, session.set(id, vector));
    }
  }

  async remove(sessionId: string, ids: readonly string[]): Promise<void> {
    this.#check("delete");
    for (const id of ids) this.#sessions.get(sessionId)?.delete(id);
  }

  async eraseSession(sessionId: string): Promise<void> {
    this.#check("delete");
    this.#sessions.delete(sessionId);
  }

  async search(
    sessionId: string,
    query: Float32Array,
    limit: number,
  ): Promise<readonly VectorHit[]> {
    this.#check("search");
    this.searches++;
    return [...(this.#sessions.get(sessionId) ?? [])]
      .map(([id, vector]) => ({
        id,
        score: vector.reduce((sum, part, at) => sum + part * (query[at] ?? 0), 0),
      }))
      .sort((a, b) => b.score - a.score)
      .slice(0, limit);
  }

  async count(): Promise<number> {
    return [...this.#sessions.values()].reduce((sum, { size }) => sum + size, 0);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #check(operation: string): void {
    if (!this.isDown) return;
    throw new FaultError(
      fault("VECTOR_STORE_FAILED", { store: "memory", operation, detail: "down" }),
    );
  }
}
