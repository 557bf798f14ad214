/**
 * The memory over the wire. Each handler reads its request, asks the hub once and shows the answer; what the hub refuses
 * leaves as its fault. Imports are taken in pages, each a durable step, so a stream that breaks can simply be sent again.
 */
import type { ServiceImpl } from "@connectrpc/connect";
import type { ForgetRequest, MemoryService } from "../../gen/goclaw/v1/memory_service_pb.ts";
import { fault, refuse } from "../base/fault.ts";
import type { ForgetRequest as ForgetOrder, ReviewRequest } from "../memory/api.ts";
import type { ExportedEntry, MemoryHub } from "../memory/hub.ts";
import {
  readFilter,
  readMemorize,
  readNamespace,
  readQuestion,
  readRecord,
  readSession,
  readVerdict,
  wireHit,
  wireMemory,
  wireOutcome,
  wireRecord,
} from "./wire-memory.ts";
import { fill } from "./wire-words.ts";

const LIMIT_DEFAULT = 5;
const BUDGET_DEFAULT = 1_024;
const PAGE_DEFAULT = 100;
/** Entries of one step of an import. */
const IMPORT_PAGE = 500;

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export interface MemoryServiceDeps {
  readonly memory: MemoryHub;
}

/** Handlers of `goclaw.v1.MemoryService`. */
export function memoryService({ memory }: MemoryServiceDeps): ServiceImpl<typeof MemoryService> {
  return {
    async memorize({ entries }) {
      const results = await memory.memorize(entries.map(readMemorize));
      return {
        results: results.map(({ id, outcome }) => ({ id, outcome: wireOutcome(outcome) })),
      };
    },
    async retrieve({ question, limit }) {
      const request = { ...readQuestion(question), limit: limit || LIMIT_DEFAULT };
      const { results, degraded } = await memory.retrieve(request);
      return { hits: results.map(wireHit), degraded };
    },
    async assembleContext({ question, budgetTokens, retrieveLastN, leastStrength }) {
      const { text, tokens, shown, degraded } = await memory.assembleContext({
        ...readQuestion(question),
        budgetTokens: budgetTokens || BUDGET_DEFAULT,
        retrieveLastN,
        leastStrength,
      });
      return { text, tokens, memories: shown.map(wireMemory), degraded };
    },
    async review({ session, items }) {
      const requests = items.map(({ id, verdict, pinned }) =>
        fill<Writable<ReviewRequest>>({ id }, { verdict: readVerdict(verdict), pinned }),
      );
      const reviewed = await memory.review(readSession(session), requests);
      return { memories: reviewed.map(wireMemory) };
    },
    async getMemory({ session, id }) {
      return { memory: wireMemory(await memory.get(readSession(session), id)) };
    },
    async listMemories({ session, pageSize, pageToken, filter, dormant }) {
      const limit = pageSize || PAGE_DEFAULT;
      const found = await memory.list({
        sessionId: readSession(session),
        limit,
        dormant,
        ...(pageToken === "" ? {} : { after: pageToken }),
        ...(filter === undefined ? {} : { filter: readFilter(filter) }),
      });
      const last = found.length === limit ? found.at(-1)?.entry.id : undefined;
      return { memories: found.map(wireMemory), nextPageToken: last ?? "" };
    },
    async forget(request) {
      return { deleted: BigInt(await memory.forget(readForget(request))) };
    },
    async eraseSession({ session }) {
      return { deleted: BigInt(await memory.eraseSession(readSession(session))) };
    },
    async getMemoryStats({ session }) {
      const stats = await memory.stats(session && readSession(session));
      return {
        sessions: BigInt(stats.sessions),
        active: BigInt(stats.active),
        dormant: BigInt(stats.dormant),
        contentBytes: BigInt(stats.contentBytes),
        diskBytes: BigInt(stats.diskBytes),
        residentSessions: BigInt(stats.residentSessions),
        residentBytes: BigInt(Math.round(stats.residentBytes)),
        embeddingBacklog: BigInt(stats.embeddingBacklog),
        coldBacklog: BigInt(stats.coldBacklog),
        embedder: stats.embedder,
      };
    },
    async *exportMemories({ sessionId, namespace }) {
      for await (const name of sessionsOf(memory, readNamespace(namespace), sessionId)) {
        for await (const exported of memory.export(name))
          yield { record: wireRecord(memory.describe(exported.entry), exported) };
      }
    },
    async importMemories(requests) {
      let seen = 0;
      let imported = 0;
      let page: ExportedEntry[] = [];
      const flush = async (): Promise<void> => {
        imported += await memory.import(page);
        page = [];
      };
      for await (const { record } of requests) {
        page.push(readRecord(record));
        seen++;
        if (page.length >= IMPORT_PAGE) await flush();
      }
      await flush();
      return { imported: BigInt(imported), present: BigInt(seen - imported) };
    },
  };
}

async function* sessionsOf(
  memory: MemoryHub,
  namespace: string,
  sessionId: string,
): AsyncIterable<string> {
  const prefix = `${namespace}/`;
  if (sessionId !== "") yield `${prefix}${sessionId}`;
  else for await (const name of memory.sessions()) if (name.startsWith(prefix)) yield name;
}

function readForget({ session, ids, filter, belowStrength }: ForgetRequest): ForgetOrder {
  const order = fill<Writable<ForgetOrder>>(
    { sessionId: readSession(session) },
    {
      ids: ids.length === 0 ? undefined : ids,
      filter: filter && readFilter(filter),
      belowStrength,
    },
  );
  if (Object.keys(order).length > 1) return order;
  const expected = "ids, a filter or a strength; EraseSession deletes everything";
  return refuse(fault("ARGUMENT_INVALID", { field: "request", value: "no condition", expected }));
}
