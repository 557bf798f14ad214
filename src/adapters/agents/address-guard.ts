/**
 * Which addresses a request on behalf of a workflow may reach. Everything that is not plainly on the public internet is
 * refused, because it is behind our own firewall: a definition must not read a cloud's metadata or somebody's router.
 * IPv6 is refused unless it is global unicast, so that every future way to wrap an IPv4 address is refused as well.
 * Names are never judged, only the addresses they resolved to; exceptions come from the configuration.
 */
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { fault, refuse } from "../../base/fault.ts";

/** Networks that are never reached without an exception. IANA special-purpose registries, and clouds' metadata. */
export const REFUSED: readonly (readonly [cidr: string, what: string])[] = [
  ["0.0.0.0/8", "this network"],
  ["10.0.0.0/8", "private"],
  ["100.64.0.0/10", "carrier-grade NAT"],
  ["127.0.0.0/8", "loopback"],
  ["168.63.129.16/32", "cloud metadata"],
  ["169.254.0.0/16", "link-local"],
  ["172.16.0.0/12", "private"],
  ["192.0.0.0/24", "protocol assignments"],
  ["192.0.2.0/24", "documentation"],
  ["192.88.99.0/24", "6to4 relay"],
  ["192.168.0.0/16", "private"],
  ["198.18.0.0/15", "benchmarking"],
  ["198.51.100.0/24", "documentation"],
  ["203.0.113.0/24", "documentation"],
  ["224.0.0.0/4", "multicast"],
  ["240.0.0.0/4", "reserved"],
  ["::/96", "unspecified, loopback or IPv4-compatible"],
  ["::ffff:0:0/96", "IPv4-mapped"],
  ["::ffff:0:0:0/96", "IPv4-translated"],
  ["64:ff9b::/96", "NAT64"],
  ["64:ff9b:1::/48", "NAT64"],
  ["2001::/23", "protocol assignments, Teredo among them"],
  ["2001:db8::/32", "documentation"],
  ["2002::/16", "6to4"],
  ["3fff::/20", "documentation"],
  ["fc00::/7", "private"],
  ["fe80::/10", "link-local"],
  ["fec0::/10", "site-local"],
  ["ff00::/8", "multicast"],
];

const NETWORKS = REFUSED.map(([cidr, what]) => ({ cidr, what, block: networkOf(cidr) }));

/** The only IPv6 addresses that are on the internet at all (RFC 4291, section 2.4, as assigned by IANA). */
const GLOBAL_UNICAST = networkOf("2000::/3");

export class AddressGuard {
  readonly #hosts: ReadonlySet<string>;
  readonly #networks: readonly BlockList[];

  /** @param allow host names, addresses and networks (CIDR) that may be reached although they are refused */
  constructor(allow: readonly string[]) {
    const networks = allow.filter((entry) => entry.includes("/") || isIP(entry) !== 0);
    this.#hosts = new Set(allow.filter((entry) => !networks.includes(entry)).map(canonicalHost));
    this.#networks = networks.map(allowedNetwork);
  }

  /**
   * Why `address`, to which `host` resolved, must not be reached; undefined when it may be.
   * @param host as in the URL: a name, or an address (IPv6 without brackets)
   */
  refusal(host: string, address: string): string | undefined {
    const type = familyOf(address);
    if (type === undefined) return `${address} is not an address`;
    if (this.#hosts.has(canonicalHost(host))) return undefined;
    if (this.#networks.some((network) => network.check(address, type))) return undefined;
    const refused = NETWORKS.find(({ cidr, block }) => {
      // BlockList finds mapped addresses in IPv4 networks; their own row says better what they are.
      return familyOf(cidr.split("/")[0] ?? "") === type && block.check(address, type);
    });
    if (refused !== undefined) return `${address} is ${refused.what} (${refused.cidr})`;
    if (type === "ipv6" && !GLOBAL_UNICAST.check(address, type)) {
      return `${address} is not on the public internet`;
    }
    return undefined;
  }
}

/** An address with a zone (`fe80::1%eth0`) names an interface of this machine and is none of the two. */
function familyOf(address: string): "ipv4" | "ipv6" | undefined {
  if (isIPv4(address)) return "ipv4";
  return isIPv6(address) && !address.includes("%") ? "ipv6" : undefined;
}

function canonicalHost(host: string): string {
  return host.toLowerCase().replace(/\.$/, "");
}

function networkOf(cidr: string): BlockList {
  const [address = "", prefix] = cidr.split("/");
  const type = isIPv4(address) ? "ipv4" : "ipv6";
  const network = new BlockList();
  network.addSubnet(address, prefix === undefined ? widthOf(type) : Number(prefix), type);
  return network;
}

function widthOf(type: "ipv4" | "ipv6"): number {
  return type === "ipv4" ? 32 : 128;
}

function allowedNetwork(entry: string): BlockList {
  try {
    if (!/^[\da-f.:]+(?:\/\d+)?$/i.test(entry)) throw new TypeError("not a network");
    return networkOf(entry);
  } catch {
    const expected = "a host name, an address or a network such as 10.1.0.0/16";
    return refuse(fault("ARGUMENT_INVALID", { field: "http.allow", value: entry, expected }));
  }
}
