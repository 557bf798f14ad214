/**
 * Names of things. Ids are branded strings, so that a task id cannot be passed where a run id is meant; parsing is the
 * only way in. Run ids are ULIDs minted at the edge: they sort by creation time, which gives the run list its order
 * without a second index.
 */

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A ULID, 26 characters of Crockford base32. */
export type RunId = Branded<"RunId">;

/** A task of a definition, or one instance of a `for_each` task: `analyze[3]`. */
export type TaskId = string;

/** Names of tasks, lanes, agents, definitions and namespaces. */
export const NAME_PATTERN = /^[A-Za-z0-9_.-]{1,128}$/;

/** Keys that must never reach an object literal, because they could touch its prototype. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set([
  "__proto__",
  "constructor",
  "prototype",
]);

/** Whether `text` may name a task, lane, agent, definition or namespace. */
export function isName(text: string): boolean {
  return NAME_PATTERN.test(text) && !FORBIDDEN_KEYS.has(text);
}

/** Reads a run id; `undefined` when the text is not a ULID. */
export function parseRunId(text: string): RunId | undefined {
  return /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(text) ? (text as RunId) : undefined;
}

/** The instant in a run id: its first ten characters are milliseconds in Crockford base32 (ULID specification). */
export function runIdInstant(runId: RunId): number {
  let instant = 0;
  for (const digit of runId.slice(0, 10)) instant = instant * 32 + CROCKFORD.indexOf(digit);
  return instant;
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Id of one instance of a `for_each` task. Brackets are outside {@link NAME_PATTERN}, so it cannot clash. */
export function instanceId(groupId: TaskId, position: number): TaskId {
  return `${groupId}[${position}]`;
}

/** Idempotency key of a task: equal across its attempts, different across forks (generations) of a run. */
export function idempotencyKey(runId: RunId, taskId: TaskId, generation = 0): string {
  return `${runId}/${taskId}/${generation}`;
}

/**
 * The known name closest to `wanted`, for error messages: at most a third of its letters (one at least) are changed,
 * missing, too many or swapped with their neighbour.
 */
export function nearestName(wanted: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const name of known) {
    const distance = editDistance(wanted.toLowerCase(), name.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** Optimal string alignment distance (Boytsov 2011, three rows); values of `limit` or more are reported as `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const edited = Math.min(
        (row[j - 1] ?? 0) + 1,
        (previous[j] ?? 0) + 1,
        (previous[j - 1] ?? 0) + cost,
      );
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(isSwapped ? Math.min(edited, (before[j - 2] ?? 0) + 1) : edited);
    }
    before = previous;
    previous = row;
  }
  return Math.min(previous[b.length] ?? limit, limit);
}
