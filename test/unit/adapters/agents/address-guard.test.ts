/** Each network of the table at both of its ends and just outside, and the ways around it that attackers use. */
import { isIPv4 } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AddressGuard, REFUSED } from "../../../../src/adapters/agents/address-guard.ts";
import { FaultError } from "../../../../src/base/fault.ts";

const guard = new AddressGuard([]);
const refusal = (address: string) => guard.refusal("some.host", address);

/** The 128 or 32 bits of an address as a number, written out without any library's help. */
function numberOf(address: string): bigint {
  if (isIPv4(address)) {
    return address.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  }
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? [] : Array(8 - left.length - right.length).fill("0");
  return [...left, ...zeros, ...right].reduce(
    (sum, part) => sum * 65_536n + BigInt(`0x${part}`),
    0n,
  );
}

function textOf(value: bigint, width: 32 | 128): string {
  const [count, bits] = width === 32 ? [4, 8n] : [8, 16n];
  const parts = Array.from({ length: count }, (_, at) => {
    return (value >> (bits * BigInt(count - 1 - at))) & ((1n << bits) - 1n);
  });
  return width === 32 ? parts.join(".") : parts.map((part) => part.toString(16)).join(":");
}

const networks = REFUSED.map(([cidr]) => {
  const [address = "", prefix = ""] = cidr.split("/");
  const width = isIPv4(address) ? 32 : 128;
  const first = numberOf(address);
  const last = first + (1n << BigInt(width - Number(prefix))) - 1n;
  return { cidr, width, first, last } as const;
});

/** What the guard should say, by arithmetic on the table alone. */
function isRefused(value: bigint, width: 32 | 128): boolean {
  const inTable = networks.some((n) => n.width === width && value >= n.first && value <= n.last);
  return inTable || (width === 128 && value >> 125n !== 1n);
}

describe.each(networks)("$cidr", ({ width, first, last }) => {
  test("is refused from its first address to its last", () => {
    expect(refusal(textOf(first, width))).toBeDefined();
    expect(refusal(textOf(last, width))).toBeDefined();
  });

  test("does not refuse its neighbours, unless something else does", () => {
    for (const value of [first - 1n, last + 1n]) {
      if (value < 0n || value >> BigInt(width) > 0n) continue;
      expect(refusal(textOf(value, width)) !== undefined).toBe(isRefused(value, width));
    }
  });
});

test("any IPv4 address is judged by the table", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, (1n << 32n) - 1n), (value) => {
      expect(refusal(textOf(value, 32)) !== undefined).toBe(isRefused(value, 32));
    }),
    { numRuns: 2_000 },
  );
});

test("any IPv6 address is judged by the table, and refused outside of global unicast", () => {
  const near = fc
    .constantFrom(...networks.filter((n) => n.width === 128))
    .chain((n) => fc.bigInt(-3n, 3n).map((by) => n.first + by));
  const anywhere = fc.bigInt(0n, (1n << 128n) - 1n);
  fc.assert(
    fc.property(fc.oneof(near, anywhere), (value) => {
      fc.pre(value >= 0n);
      expect(refusal(textOf(value, 128)) !== undefined).toBe(isRefused(value, 128));
    }),
    { numRuns: 2_000 },
  );
});

test("an IPv4 address is refused in whatever IPv6 form it comes", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, (1n << 32n) - 1n), (value) => {
      const v4 = textOf(value, 32);
      const [high, low] = [(value >> 16n).toString(16), (value & 0xffffn).toString(16)];
      for (const wrapped of [
        `::ffff:${v4}`,
        `::ffff:${high}:${low}`,
        `0:0:0:0:0:FFFF:${high}:${low}`,
        `::${v4}`,
        `::ffff:0:${v4}`,
        `64:ff9b::${v4}`,
        `64:ff9b:1::${v4}`,
        `2002:${high}:${low}::`,
        `2001:0:${high}:${low}::1`,
      ]) {
        expect(refusal(wrapped)).toBeDefined();
      }
    }),
  );
});

test.each([
  ["8.8.8.8"],
  ["1.1.1.1"],
  ["172.15.255.255"],
  ["172.32.0.0"],
  ["2606:4700:4700::1111"],
  ["2a00:1450:4001:81b::200e"],
])("%s is on the public internet", (address) => {
  expect(refusal(address)).toBeUndefined();
});

test.each([
  ["127.0.0.1", "loopback"],
  ["169.254.169.254", "link-local"],
  ["100.100.100.200", "carrier-grade NAT"],
  ["fd00:ec2::254", "private"],
  ["::1", "loopback"],
  ["::ffff:10.0.0.1", "IPv4-mapped"],
  ["fe80::1%eth0", "is not an address"],
  ["0177.0.0.1", "is not an address"],
  ["localhost", "is not an address"],
  ["", "is not an address"],
])("%j is refused as what it is", (address, part) => {
  expect(refusal(address)).toContain(part);
});

describe("exceptions", () => {
  const allowing = new AddressGuard(["Intranet.Local.", "10.1.0.0/16", "192.168.7.7", "fd12::/16"]);

  test.each([
    ["intranet.local", "10.9.9.9", true],
    ["INTRANET.LOCAL.", "127.0.0.1", true],
    ["sub.intranet.local", "10.9.9.9", false],
    ["other", "10.1.255.255", true],
    ["other", "::ffff:10.1.0.1", true],
    ["other", "10.2.0.0", false],
    ["other", "192.168.7.7", true],
    ["192.168.7.7", "192.168.7.7", true],
    ["other", "192.168.7.8", false],
    ["other", "fd12::1", true],
    ["other", "fd13::1", false],
  ])("%s at %s: %s", (host, address, isAllowed) => {
    expect(allowing.refusal(host, address) === undefined).toBe(isAllowed);
  });

  test.each([["10.0.0.0/33"], ["fd00::/129"], ["10.0.0.0/x"], ["host/24"], ["1.2.3/8"]])(
    "%s is no network",
    (entry) => {
      expect(() => new AddressGuard([entry])).toThrow(FaultError);
    },
  );
});
