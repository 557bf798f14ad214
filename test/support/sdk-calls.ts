/** What tests of the typed API need again and again: a stream read to its end, and the error of a call that must fail. */
import { expect } from "vitest";

/** Everything a stream yields. */
export async function collected<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of stream) all.push(each);
  return all;
}

/** What a call is rejected with; fails the test when it is not. */
export async function rejection(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.fail("should have been rejected"),
    (error: unknown) => error,
  );
}
