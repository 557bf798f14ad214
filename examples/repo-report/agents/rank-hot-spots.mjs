/**
 * Finds where work piles up: files that are large and change often. The score is churn × lines, the plainest form of
 * Tornhill's hot spots; it has no unit and only ranks. Files without numbers (`null`: the analysis failed) rank nowhere.
 */

const TOP = 15;

export const rankHotSpots = {
  name: "RankHotSpots",
  version: "1",
  run({ analyze }) {
    const measured = analyze.filter((file) => file !== null && file.problem === undefined);
    const shown = ({ path, commits, churn, lines, complexity }) => ({
      path,
      commits,
      churn,
      lines,
      complexity,
      score: churn * lines,
    });
    const top = (order) =>
      measured
        .map(shown)
        .sort((a, b) => order(b) - order(a) || (a.path < b.path ? -1 : 1))
        .slice(0, TOP);
    return {
      hotSpots: top(({ score }) => score).filter(({ score }) => score > 0),
      largest: top(({ lines }) => lines),
      mostComplex: top(({ complexity }) => complexity),
    };
  },
};
