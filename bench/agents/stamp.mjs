// Returns when it started, on the monotonic clock that all processes of a machine share, in milliseconds.
export const stamp = { name: "stamp", run: () => Number(process.hrtime.bigint()) / 1e6 };
