/**
 * Sends bytes of any kind where a session expects messages, below every library that would refuse to. It knows HTTP/2 and
 * the path of the call and nothing else.
 */
import { connect } from "node:http2";
import type { Millis } from "../base/time.ts";
import type { Clock } from "./verdicts.ts";

const PATH = "/goclaw.v1.WorkerService/OpenSession";

/** Whether the stream that carried these bytes was ended by the server in time. */
export function sendGarbage(
  server: string,
  bytes: Uint8Array,
  clock: Clock,
  withinMs: Millis,
): Promise<boolean> {
  return new Promise((resolve) => {
    const session = connect(server);
    const stream = session.request({
      ":method": "POST",
      ":path": PATH,
      "content-type": "application/grpc+proto",
      te: "trailers",
    });
    const done = (isEnded: boolean) => {
      patience.cancel();
      session.destroy();
      resolve(isEnded);
    };
    const patience = clock.setTimer(withinMs, () => done(false));
    session.once("error", () => done(true));
    stream.once("error", () => done(true));
    stream.once("end", () => done(true));
    stream.once("close", () => done(true));
    stream.resume();
    // A frame that promises more than it brings is garbage only once nothing more can come.
    stream.end(bytes);
  });
}
