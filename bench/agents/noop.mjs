// The cheapest possible agent, so that a benchmark measures the engine and nothing else.
export const noop = { name: "noop", run: () => 1 };
