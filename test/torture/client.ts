/** A workload in a process of its own, so that it can be stopped and continued while its daemon goes on. */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { type Books, Workload } from "./workload.ts";

export type ClientOrder =
  | {
      readonly kind: "start";
      readonly address: string;
      readonly clients: number;
      readonly seed: number;
    }
  | { readonly kind: "finish" };

export type ClientReport =
  | { readonly kind: "started" }
  | { readonly kind: "finished"; readonly books: Books };

let workload: Workload | undefined;

function report(message: ClientReport): void {
  process.send?.(message);
}

async function obey(order: ClientOrder): Promise<void> {
  if (order.kind === "finish") {
    if (workload !== undefined) report({ kind: "finished", books: await workload.finish() });
    return;
  }
  const { address, clients, seed } = order;
  workload = new Workload({ clients, seed, trims: false, prefix: "other-" });
  const runs = createClient(RunService, createGrpcTransport({ baseUrl: address }));
  workload.begin({ runs, ended: new Promise(() => {}) });
  await workload.acknowledgements(20);
  report({ kind: "started" });
}

process.on("message", (order: ClientOrder) => {
  void obey(order);
});
process.on("disconnect", () => process.exit(0));
