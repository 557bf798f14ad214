/**
 * Questions of a worker's agents to the memory of its daemon: plain calls beside the session, on a connection of their
 * own. The daemon journals its answers, so a call that failed is made again without further thought; one that keeps
 * failing is an empty answer that says why, because no attempt shall fail for what it might have been told.
 */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { WorkerService } from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { AttemptQuestion, RecallAnswer } from "../ports/agent.ts";
import type { Host } from "../ports/host.ts";

/** Asks the memory of a daemon in the name of a lease. */
export type AskMemory = (leaseId: string, wish: AttemptQuestion) => Promise<RecallAnswer>;

/** How long before a question is asked again, and how often it is. */
const ASK_AGAIN_MS = [100, 300, 1_000, 3_000];

/** Questions over a connection of their own, which opens with the first. `close` ends it. */
export function grpcAsk(
  baseUrl: string,
  instanceId: string,
  host: Pick<Host, "setTimer">,
): { readonly ask: AskMemory; readonly close: () => void } {
  const sessionManager = new Http2SessionManager(baseUrl);
  const client = createClient(
    WorkerService,
    createGrpcTransport({ baseUrl, sessionManager, acceptCompression: [] }),
  );
  const ask: AskMemory = async (leaseId, { text, limit, filter = {} }) => {
    for (let tries = 0; ; tries++) {
      try {
        return await client.recallMemory({
          instanceId,
          leaseId,
          text,
          limit,
          filter: { ...filter },
        });
      } catch (error) {
        const waitMs = ASK_AGAIN_MS[tries];
        const { code, message } = ConnectError.from(error);
        if (code !== Code.Unavailable || waitMs === undefined) {
          return { memories: [], note: `the daemon could not be asked: ${message}` };
        }
        await new Promise<void>((resolve) => host.setTimer(waitMs, resolve));
      }
    }
  };
  return { ask, close: () => sessionManager.abort() };
}
