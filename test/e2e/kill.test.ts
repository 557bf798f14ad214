/**
 * `kill -9` at any moment loses nothing that was acknowledged and does nothing twice, and no watcher sees a hole.
 * `make torture` does the same ten times as often.
 */
import { expect, test } from "vitest";
import { KILL_PLANS, type KillReport, tortureByKills } from "../torture/kill.ts";

const KILLS = 100;
const SEED = 20_261_122;

test(`${KILLS} × kill -9 under load: nothing acknowledged is lost, nothing happens twice`, {
  timeout: 600_000,
}, async () => {
  const plans = KILL_PLANS.map(({ share, ...plan }) => ({ ...plan, kills: KILLS * share }));
  const reports = await Promise.all(
    plans.map((plan, at) => tortureByKills({ ...plan, seed: SEED + at })),
  );
  for (const report of reports) {
    expect(report.problems).toEqual([]);
    expect(report).toMatchObject({ lost: 0, appliedTwice: 0, resultsTwice: 0, holes: 0 });
    expect(report.wrongResults).toBe(0);
    expect(report.acknowledged).toBeGreaterThan(report.kills);
    expect(report.restarts).toBeGreaterThan(0);
    expect(report.repeated).toBeGreaterThan(0);
    expect(report.cancelled).toBeGreaterThan(0);
  }
  const hit = (...names: string[]): number =>
    reports.reduce((sum, report) => sum + of(report, names), 0);
  expect(reports.reduce((sum, { kills }) => sum + kills, 0)).toBe(KILLS);
  expect(hit("exec", "load", "assemble", "open", "recover", "resume")).toBeGreaterThan(0);
  expect(hit("commit")).toBeGreaterThan(0);
  expect(hit("snapshot")).toBeGreaterThan(0);
  expect(hit("trim")).toBeGreaterThan(0);
  expect(hit("retention")).toBeGreaterThan(0);
  expect(hit("drain", "close")).toBeGreaterThan(0);
});

function of({ phases }: KillReport, names: readonly string[]): number {
  return names.reduce((sum, name) => sum + (phases[name] ?? 0), 0);
}
