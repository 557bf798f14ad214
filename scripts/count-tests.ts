/**
 * Prints "N passed, N failed" from vitest's JSON report and exits non-zero unless all is well. Usage:
 * `count-tests.ts REPORT STATUS`, where STATUS is the exit code of what produced the report. A file that failed to load
 * is a failure although it holds no test; so is a skipped test, because nothing here may be skipped; and so is a STATUS
 * other than 0 that no failing test explains.
 */
import { readFileSync } from "node:fs";

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const [path, status] = process.argv.slice(2);
if (path === undefined || status === undefined)
  throw new Error("usage: count-tests.ts REPORT STATUS");
const report = JSON.parse(readFileSync(path, "utf8")) as Report;

let passed = 0;
const failures: string[] = [];
for (const file of report.testResults) {
  const failuresBefore = failures.length;
  for (const test of file.assertionResults) {
    if (test.status === "passed") passed += 1;
    else failures.push(`${test.status}: ${file.name}: ${test.fullName}`);
  }
  if (file.status !== "passed" && failures.length === failuresBefore) {
    failures.push(`did not run: ${file.name}`);
  }
}
if (status !== "0" && failures.length === 0) failures.push(`make verify ended with code ${status}`);
if (passed + failures.length === 0) failures.push("no test ran");

for (const failure of failures) console.log(failure);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
