// Attempts that wait together: `gated` returns once `open_gate` ran, in whatever thread either of them is. The name of
// the gate is their input, so that one daemon can have several. A gate stays open.
const opened = new Set();
const waiting = new Map();
const channel = new BroadcastChannel("goclaw-bench-gate");
channel.onmessage = ({ data }) => open(data);
channel.unref();

function open(name) {
  opened.add(name);
  for (const resolve of waiting.get(name) ?? []) resolve(1);
  waiting.delete(name);
}

export const gated = {
  name: "gated",
  run: (name) =>
    new Promise((resolve) => {
      if (opened.has(name)) return resolve(1);
      const others = waiting.get(name);
      if (others === undefined) waiting.set(name, [resolve]);
      else others.push(resolve);
    }),
};

export const openGate = {
  name: "open_gate",
  run: (name) => {
    channel.postMessage(name);
    open(name);
    return 1;
  },
};
