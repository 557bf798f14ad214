/**
 * What the compiler must accept and refuse about workflows. Nothing here runs: the type check of the project is the
 * test, and an expected error that does not come fails it like any other.
 */
import { agent, type Client, type Engine, workflow } from "goclaw";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Compiles only for equal types. */
const same = <A, B>(..._proof: Equal<A, B> extends true ? [] : [never]): void => {};
type Show<T> = { -readonly [K in keyof T]: T[K] };

const page = agent("page", async (input: { url: string }, ctx) => {
  ctx.progress(50);
  return { html: input.url };
});
const words = agent("words", (input: { page: { html: string } }) => ({
  words: input.page.html.length,
}));
const links = agent("links", (_input: { page: { html: string } }) => ["a", "b"]);
const join = agent("join", (_input: { words: { words: number }; links: string[] | null }) => true);
const cheap = agent("cheap", (input: { words: number }) => `${input.words}`);

declare const engine: Engine;

// Input of a run, output of its sinks.
const line = workflow("line")
  .task("page", page)
  .task("words", words, { deps: ["page"] });
same<typeof line.types.input, { url: string }>();
same<Show<typeof line.types.result>, { words: { words: number } }>();
export const { words: counted } = await engine.execute(line, { url: "x" });
same<typeof counted, { words: number }>();
// @ts-expect-error a run needs its input
await engine.execute(line, {});
// @ts-expect-error of the right type
await engine.execute(line, { url: 1 });

// A client knows the same.
declare const client: Client;
const remote = await client.submit(line, { url: "x" });
same<Show<Awaited<ReturnType<typeof remote.result>>>, { words: { words: number } }>();
// @ts-expect-error a run needs its input, wherever it runs
await client.submit(line, {});
// @ts-expect-error of the right type
await client.execute(line, { url: 1 });
same<Awaited<ReturnType<typeof client.execute>>, unknown>();

// Inputs of several roots come together.
const two = workflow("two").task("page", page).task("cheap", cheap);
same<Show<typeof two.types.input>, { url: string; words: number }>();
same<Show<typeof two.types.result>, { page: { html: string }; cheap: string }>();

// Dependencies are tasks defined before.
workflow("w")
  .task("page", page)
  // @ts-expect-error nobody knows this task
  .task("words", words, { deps: ["pgae"] });
workflow("w")
  // @ts-expect-error it comes later
  .task("words", words, { deps: ["page"] })
  .task("page", page);
// @ts-expect-error the id is taken
workflow("w").task("page", page).task("page", page);

// An agent gets what its dependencies give.
workflow("w")
  .task("page", cheap)
  // @ts-expect-error page gives a text and not { html }
  .task("words", words, { deps: ["page"] });
workflow("w")
  .task("page", page)
  // @ts-expect-error the agent wants the output under the name of the task: page
  .task("cheap", cheap, { deps: ["page"] });
// A mapping decides the input itself.
workflow("w")
  .task("page", page)
  .task("cheap", cheap, { deps: ["page"], input: { words: "{{ page.html }}" } });
workflow("w")
  .task("page", page)
  .task("anything", "NamedAgent", { deps: ["page"] });

// A condition: an only dependency that was skipped skips its dependent, a join sees null.
const conditional = workflow("w")
  .task("page", page)
  .task("words", words, { deps: ["page"] })
  .task("links", links, { deps: ["page"], when: "page.html != ''" })
  .task("join", join, { deps: ["words", "links"] });
same<Show<typeof conditional.types.result>, { join: boolean }>();
const chain = workflow("w")
  .task("page", page, { when: "input.url != ''" })
  .task("words", words, { deps: ["page"] });
same<Show<typeof chain.types.result>, { words: { words: number } | null }>();
workflow("w")
  .task("page", page)
  .task("words", words, { deps: ["page"], when: "true" })
  .task("links", links, { deps: ["page"] })
  // @ts-expect-error words may be null here, and the agent does not take it
  .task("join", join, { deps: ["words", "links"] });

// A failure that does not end the run leaves null.
workflow("w")
  .task("page", page, { onError: "continue" })
  // @ts-expect-error page may be null
  .task("words", words, { deps: ["page"] });
// A fallback gives its output instead.
const fallback = workflow("w")
  .task(
    "spare",
    agent("spare", (_input: { url: string }) => 7),
  )
  .task("page", page, { onError: { fallback: "spare" } });
same<Show<typeof fallback.types.result>, { page: { html: string } | number }>();
// @ts-expect-error a fallback is a task defined before
workflow("w").task("page", page, { onError: { fallback: "nobody" } });
// @ts-expect-error not a policy
workflow("w").task("page", page, { onError: "ignore" });

// A fan-out gives a list; with continue some of it may be null.
const fan = workflow("w")
  .task(
    "links",
    agent("list", (_input: { url: string }) => ["a"]),
  )
  .task(
    "each",
    agent("each", (item: string) => item.length),
    {
      deps: ["links"],
      forEach: "links",
    },
  );
same<Show<typeof fan.types.result>, { each: readonly number[] }>();
const holes = workflow("w").task(
  "each",
  agent("each", (_: string) => 1),
  {
    forEach: "input.list",
    onError: "continue",
  },
);
same<Show<typeof holes.types.result>, { each: readonly (number | null)[] }>();

// An output mapping replaces the result.
const mapped = line.output<{ n: number }>({ n: "{{ words.words }}" });
same<typeof mapped.types.result, { n: number }>();

// Options are checked.
// @ts-expect-error no such option
workflow("w").task("page", page, { timeuot: "5s" });
// @ts-expect-error durations are text
workflow("w").task("page", page, { timeout: 5 });
// @ts-expect-error not an agent
workflow("w").task("page", 5);
