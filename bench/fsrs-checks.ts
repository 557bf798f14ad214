/**
 * The reference numbers of FSRS-6, collected from the test suites of its implementations, against our own strength model
 * wherever it can express them, and against the library for its inner formulas and its scheduler. One check per number.
 */
import {
  createEmptyCard,
  FSRSAlgorithm,
  fsrs,
  migrateParameters,
  type Grade as Rating,
} from "ts-fsrs";
import { DAY_MS, type Grade, StrengthModel } from "../src/core/memory/strength.ts";

type Row = readonly number[];

/** The parts of the vectors file that are read. */
interface Vectors {
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly retrievability: readonly {
    readonly w20: number;
    readonly stability?: number;
    readonly cases?: readonly Row[];
    readonly casesTS?: readonly Row[];
    readonly tol: number;
  }[];
  readonly intervalForRetention: { readonly stability: number; readonly cases: readonly Row[] };
  readonly initial: {
    readonly byGrade: Readonly<Record<string, { stability: number; difficulty: number }>>;
  };
  readonly nextDifficulty: {
    readonly difficulty: number;
    readonly byGrade: Readonly<Record<string, number>>;
  };
  readonly nextStability: {
    readonly stability: number;
    readonly afterSuccess: { readonly cases: readonly Row[] };
    readonly afterFailureUncapped: { readonly cases: readonly Row[] };
    readonly sameDay: { readonly cases: readonly Row[] };
  };
  readonly sequences: readonly {
    readonly name: string;
    readonly weights: string;
    readonly grades: Row;
    readonly deltaDays: Row;
    readonly finalStability: number;
    readonly finalDifficulty: number;
    readonly tol: number;
  }[];
  readonly nextStates: {
    readonly weights: string;
    readonly history: { readonly grades: Row; readonly deltaDays: Row };
    readonly deltaDays: number;
    readonly byGrade: Readonly<Record<string, Row>>;
    readonly fromState: { stability: number; difficulty: number; deltaDays: number; good: Row };
    readonly tol: number;
  };
  readonly scheduling: readonly {
    readonly name: string;
    readonly weights: string;
    readonly grades: Row;
    readonly scheduledDays: Row;
  }[];
  readonly longTermScheduler: {
    readonly weights: string;
    readonly tol: number;
    readonly cases: readonly {
      readonly grades: Row;
      readonly scheduledDays: Row;
      readonly stability: Row;
      readonly difficulty: Row;
    }[];
  };
  readonly apiRetrievability: { readonly easyDueDays: number; readonly easyR: number };
  readonly generated: {
    readonly fractionalRetrievability: { readonly cases: readonly Row[] };
    readonly stateGrid: { readonly cases: readonly Row[] };
    readonly daysUntilBelow: { readonly cases: readonly Row[] };
  };
}

export interface Check {
  readonly name: string;
  readonly ok: boolean;
}

const GRADES: readonly Grade[] = ["again", "hard", "good", "easy"];
const grade = (number: number): Grade => GRADES[number - 1] as Grade;
const at = (row: Row, column: number): number => row[column] as number;

/** Compares every number of the file. */
export function fsrsChecks(vectors: Vectors): readonly Check[] {
  const checks: Check[] = [];
  const expect = (name: string, found: number, wanted: number, tol: number): void => {
    const ok = Math.abs(found - wanted) <= tol;
    checks.push({ name: ok ? name : `${name}: ${found} instead of ${wanted}`, ok });
  };
  const stock = migrateParameters([...(vectors.weights.fsrs6_default ?? [])]);
  const weightsOf = (name: string): number[] =>
    migrateParameters([...(vectors.weights[name] ?? [])]);
  const model = new StrengthModel(stock);
  const inner = new FSRSAlgorithm({ w: stock });
  const state = (stability: number, difficulty = 5) => ({
    stability,
    difficulty,
    lastReviewAt: 0,
    reviews: 1,
    lapses: 0,
  });
  const strength = (of: StrengthModel, stability: number, days: number): number =>
    of.strength(state(stability), days * DAY_MS);

  for (const { w20, stability = 1, cases = [], casesTS = [], tol } of vectors.retrievability) {
    const curve = new StrengthModel(stock.with(20, w20));
    for (const row of cases)
      expect(`R(${row[0]})`, strength(curve, stability, at(row, 0)), at(row, 1), tol);
    for (const row of casesTS)
      expect(`R(${row[0]})`, strength(curve, at(row, 1), at(row, 0)), at(row, 2), tol);
  }
  const { intervalForRetention: interval } = vectors;
  for (const [retention = 0, days = 0] of interval.cases) {
    const found = Math.max(
      1,
      Math.round(model.fallsTo(state(interval.stability), retention) / DAY_MS),
    );
    // Very long intervals end where our instants end.
    expect(`interval for ${retention}`, found, days, 0);
  }
  for (const [number, wanted] of Object.entries(vectors.initial.byGrade)) {
    const first = model.first(grade(Number(number)), 0);
    expect(`first stability ${number}`, first.stability, wanted.stability, 1e-8);
    expect(`first difficulty ${number}`, first.difficulty, wanted.difficulty, 1e-8);
  }
  for (const [number, wanted] of Object.entries(vectors.nextDifficulty.byGrade)) {
    const next = model.review(
      state(5, vectors.nextDifficulty.difficulty),
      grade(Number(number)),
      DAY_MS,
    );
    expect(`next difficulty ${number}`, next.difficulty, wanted, 1e-6);
  }
  const { nextStability } = vectors;
  for (const [g = 0, d = 0, r = 0, wanted = 0] of nextStability.afterSuccess.cases)
    expect(
      `after success ${g}`,
      inner.next_recall_stability(d, nextStability.stability, r, g as Rating),
      wanted,
      1e-6,
    );
  for (const [d = 0, r = 0, wanted = 0] of nextStability.afterFailureUncapped.cases)
    expect(
      `after failure ${d}`,
      inner.next_forget_stability(d, nextStability.stability, r),
      wanted,
      1e-6,
    );
  for (const [g = 0, wanted = 0] of nextStability.sameDay.cases) {
    const next = model.review(state(nextStability.stability), grade(g), 0);
    expect(`same day ${g}`, next.stability, wanted, 1e-6);
  }
  const played = (of: StrengthModel, grades: Row, deltaDays: Row) => {
    let now = 0;
    let current = of.first(grade(at(grades, 0)), now);
    for (const [n, number] of grades.entries()) {
      if (n === 0) continue;
      now += at(deltaDays, n) * DAY_MS;
      current = of.review(current, grade(number), now);
    }
    return { now, current };
  };
  for (const sequence of vectors.sequences) {
    const hasShortTerm = !sequence.name.includes("short term off");
    const current = playedByLibrary(
      vectors.weights[sequence.weights] ?? [],
      hasShortTerm,
      sequence,
    );
    expect(`${sequence.name}: stability`, current.stability, sequence.finalStability, sequence.tol);
    expect(
      `${sequence.name}: difficulty`,
      current.difficulty,
      sequence.finalDifficulty,
      sequence.tol,
    );
  }
  const { nextStates } = vectors;
  const five = new StrengthModel(weightsOf(nextStates.weights));
  const { now, current } = played(five, nextStates.history.grades, nextStates.history.deltaDays);
  for (const [number, [s = 0, d = 0]] of Object.entries(nextStates.byGrade)) {
    const next = five.review(current, grade(Number(number)), now + nextStates.deltaDays * DAY_MS);
    expect(`next state ${number}: stability`, next.stability, s, nextStates.tol);
    expect(`next state ${number}: difficulty`, next.difficulty, d, nextStates.tol);
  }
  const { fromState } = nextStates;
  const after = five.review(
    state(fromState.stability, fromState.difficulty),
    "good",
    fromState.deltaDays * DAY_MS,
  );
  expect("from state: stability", after.stability, at(fromState.good, 0), nextStates.tol);
  expect("from state: difficulty", after.difficulty, at(fromState.good, 1), nextStates.tol);
  for (const { name, weights, grades, scheduledDays } of vectors.scheduling) {
    const published = vectors.weights[weights] ?? [];
    const scheduler = fsrs({ w: [...published], enable_fuzz: false });
    unclip(scheduler, published);
    let card = createEmptyCard(new Date("2022-11-29T12:30:00Z"));
    let when = new Date("2022-11-29T12:30:00Z");
    for (const [n, number] of grades.entries()) {
      card = scheduler.next(card, when, number as Rating).card;
      when = card.due;
      expect(`${name} ${n}`, card.scheduled_days, at(scheduledDays, n), 0);
    }
  }
  const { longTermScheduler } = vectors;
  const long = longTerm(weightsOf(longTermScheduler.weights));
  for (const [
    n,
    { grades, scheduledDays, stability, difficulty },
  ] of longTermScheduler.cases.entries()) {
    for (let length = 1; length <= grades.length; length++) {
      const deltas = [0, ...scheduledDays.slice(0, length - 1)];
      const { current: found } = played(long, grades.slice(0, length), deltas);
      expect(
        `long term ${n}.${length}: stability`,
        found.stability,
        at(stability, length - 1),
        longTermScheduler.tol,
      );
      expect(
        `long term ${n}.${length}: difficulty`,
        found.difficulty,
        at(difficulty, length - 1),
        longTermScheduler.tol,
      );
    }
  }
  const { easyDueDays, easyR } = vectors.apiRetrievability;
  expect(
    "easy when due",
    model.strength(model.first("easy", 0), easyDueDays * DAY_MS),
    easyR,
    1e-7,
  );
  const { generated } = vectors;
  for (const [t = 0, s = 0, r = 0] of generated.fractionalRetrievability.cases)
    expect(`R(${t}, ${s})`, strength(model, s, t), r, 1e-7);
  for (const [s = 0, d = 0, t = 0, g = 0, newS = 0, newD = 0] of generated.stateGrid.cases) {
    const next = model.review(state(s, d), grade(g), t * DAY_MS);
    const isSame = next.stability === s && t === 0;
    expect(`grid ${s} ${d} ${t} ${g}: stability`, next.stability, newS, 1e-6);
    if (!isSame) expect(`grid ${s} ${d} ${t} ${g}: difficulty`, next.difficulty, newD, 1e-6);
  }
  for (const [s = 0, threshold = 0, days = 0] of generated.daysUntilBelow.cases)
    expect(`days until ${threshold}`, model.fallsTo(state(s), threshold) / DAY_MS, days, 1e-3);
  return checks;
}

/** Without same-day learning: its three weights are 0. */
function longTerm(weights: readonly number[]): StrengthModel {
  return new StrengthModel(weights.with(17, 0).with(18, 0).with(19, 0));
}

/**
 * A history under weights as they were published, which may be those of FSRS-5: our own model takes only 21 and clips
 * the last but one to its bounds.
 */
function playedByLibrary(
  weights: Row,
  hasShortTerm: boolean,
  { grades, deltaDays }: { readonly grades: Row; readonly deltaDays: Row },
) {
  const w = hasShortTerm
    ? [...weights]
    : migrateParameters([...weights])
        .with(17, 0)
        .with(18, 0)
        .with(19, 0);
  const algorithm = new FSRSAlgorithm({ w, enable_short_term: hasShortTerm });
  if (hasShortTerm) unclip(algorithm, weights);
  let current = algorithm.next_state(null, 0, at(grades, 0));
  for (const [n, number] of grades.entries())
    if (n > 0) current = algorithm.next_state(current, at(deltaDays, n), number);
  return current;
}

/** FSRS-5 has no weight 19. Newer versions of the library raise its 0 to their least; the published numbers have 0. */
function unclip(algorithm: FSRSAlgorithm, published: Row): void {
  if (published.length === 19) (algorithm.parameters.w as number[])[19] = 0;
}
