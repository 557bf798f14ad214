/**
 * Which definition a name stands for, as clients may expect it: what was registered and acknowledged stays, a run that
 * is started by name gets a version that was the newest at some moment of the call, and a run keeps what it began with
 * whatever is registered later. Moments are counted, not measured.
 */
import type { RegisteredDefinition } from "../../src/ports/journal.ts";

/** One registration as its client saw it. */
interface Registration {
  /** `namespace/name`. */
  readonly name: string;
  readonly version: string;
  readonly hash: string;
  readonly calledAt: number;
  /** Infinity while nobody was told that it is done. */
  ackedAt: number;
}

export class Registrations {
  readonly #all: Registration[] = [];
  readonly #complain: (message: string) => void;

  constructor(complain: (message: string) => void) {
    this.#complain = complain;
  }

  /** Somebody begins to register; call what it returns when it is acknowledged. */
  begin(name: string, version: string, hash: string, calledAt: number): (ackedAt: number) => void {
    const registration: Registration = {
      name,
      version,
      hash,
      calledAt,
      ackedAt: Number.POSITIVE_INFINITY,
    };
    this.#all.push(registration);
    return (ackedAt) => {
      registration.ackedAt = Math.min(registration.ackedAt, ackedAt);
    };
  }

  /** Names that somebody was told are registered. */
  get known(): readonly string[] {
    const acked = this.#all.filter(({ ackedAt }) => ackedAt < Number.POSITIVE_INFINITY);
    return [...new Set(acked.map(({ name }) => name))];
  }

  /** A run was started by name between two moments. */
  started(name: string, hash: string, calledAt: number, answeredAt: number): void {
    const candidates = this.#all.filter(
      (one) => one.name === name && one.calledAt < answeredAt && !this.#isReplaced(one, calledAt),
    );
    if (candidates.some((one) => one.hash === hash)) return;
    const hashes = candidates.map((one) => one.hash.slice(0, 8)).join();
    this.#complain(`${name} was started as ${hash.slice(0, 8)}, newest were ${hashes}`);
  }

  /** Whether a later registration of the name was done before a moment. */
  #isReplaced(one: Registration, by: number, isSameVersion = false): boolean {
    return this.#all.some(
      (other) =>
        other.name === one.name &&
        (!isSameVersion || other.version === one.version) &&
        other.calledAt > one.ackedAt &&
        other.ackedAt < by,
    );
  }

  /** A new process lists what it knows: everything acknowledged must be there. */
  recovered(listed: readonly RegisteredDefinition[], now: number): void {
    const found = new Map(listed.map((d) => [`${d.namespace}/${d.name}@${d.version}`, d.hash]));
    for (const { name, version, ackedAt } of this.#all) {
      if (ackedAt > now) continue;
      const hash = found.get(`${name}@${version}`);
      const isKnown = this.#all.some(
        (one) =>
          one.name === name &&
          one.version === version &&
          one.hash === hash &&
          !this.#isReplaced(one, now, true),
      );
      if (!isKnown) this.#complain(`${name}@${version} is registered as ${hash ?? "nothing"}`);
    }
  }
}
