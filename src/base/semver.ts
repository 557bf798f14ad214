/**
 * Versions of agents and what tasks ask of them. Three numbers are compared; a pre-release sorts before its release and
 * is matched only when it is asked for exactly. Of the usual range language it knows what routing needs: exact, `^`, `~`,
 * comparison, and prefixes such as `2` or `2.1`. Anything that is no version at all matches only itself.
 */

/** A parsed version. */
export interface Version {
  readonly numbers: readonly [number, number, number];
  /** What follows the first `-`; empty for a release. */
  readonly pre: string;
}

/** Whether a version is what somebody asked for. */
export type VersionTest = (version: string) => boolean;

const VERSION =
  /^v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]*)?$/;

/** Parts that are not given are 0; undefined for a text that is no version. */
export function parseVersion(text: string): Version | undefined {
  const found = VERSION.exec(text);
  if (found === null) return undefined;
  const [, major = "0", minor = "0", patch = "0", pre = ""] = found;
  return { numbers: [Number(major), Number(minor), Number(patch)], pre };
}

/** Negative when `a` is older. Texts that are no versions come before all that are, in their own order. */
export function compareVersions(a: string, b: string): number {
  const left = parseVersion(a);
  const right = parseVersion(b);
  if (left === undefined || right === undefined) {
    if (left !== undefined || right !== undefined) return left === undefined ? -1 : 1;
    return a < b ? -1 : a > b ? 1 : 0;
  }
  for (const at of [0, 1, 2] as const) {
    const difference = left.numbers[at] - right.numbers[at];
    if (difference !== 0) return difference;
  }
  if (left.pre === right.pre) return 0;
  if (left.pre === "" || right.pre === "") return left.pre === "" ? 1 : -1;
  return left.pre < right.pre ? -1 : 1;
}

/** The test of a range; undefined when it is none. Empty, `*` and `latest` take every version. */
export function versionTest(range: string): VersionTest | undefined {
  if (range === "" || range === "*" || range === "latest") return () => true;
  const [, operator = "", rest = ""] = /^(\^|~|>=|>|<=|<|=)?(.*)$/.exec(range) ?? [];
  const from = parseVersion(rest);
  if (from === undefined) return operator === "" ? (version) => version === range : undefined;
  const given = rest.split("-")[0]?.split(".").length ?? 3;
  if (given === 3 && (operator === "" || operator === "=")) {
    return (version) => version === rest || compareVersions(version, rest) === 0;
  }
  const below = upperBound(operator, from, given);
  return (version) => {
    const parsed = parseVersion(version);
    if (parsed === undefined || parsed.pre !== "") return false;
    const order = compareVersions(version, rest);
    if (operator === ">" || operator === "<") return operator === ">" ? order > 0 : order < 0;
    if (operator === "<=") return order <= 0;
    return order >= 0 && (below === undefined || compareVersions(version, below) < 0);
  };
}

/** The first version that is too new for `^`, `~` and prefixes; undefined for open ranges. */
function upperBound(operator: string, from: Version, given: number): string | undefined {
  const [major, minor, patch] = from.numbers;
  if (operator === ">=") return undefined;
  if (operator === "^") {
    if (major > 0 || given === 1) return `${major + 1}.0.0`;
    return minor > 0 || given === 2 ? `0.${minor + 1}.0` : `0.0.${patch + 1}`;
  }
  return given === 1 ? `${major + 1}.0.0` : `${major}.${minor + 1}.0`;
}
