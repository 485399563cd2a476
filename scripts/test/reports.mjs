// What a suite came to, { passed, failed, skipped, failures, skips }, from the JSON reports of Vitest and Playwright, or from counts that a program prints.
import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

/** `failures` are the texts of what failed; `skips` say what was left out and why. */
export const result = (passed, failed, skipped = 0, failures = [], skips = []) => ({ passed, failed, skipped, failures, skips });

/** The result of a single check; its output describes the failure. */
export const one = ({ status, output }) => (status === 0 ? result(1, 0) : result(0, 1, 0, [output.trim()]));

/** A run may fail without a failing test: a file does not load, or an error occurs outside of tests. */
const checked = ({ status, output }, came) =>
  status === 0 || came.failed > 0 ? came : { ...came, failed: 1, failures: [...came.failures, tail(output)] };
const tail = (output) => stripVTControlCharacters(output).trim().split('\n').slice(-60).join('\n');
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** Counts from the report; texts as Vitest prints them, for the report lacks the differences, and the reason where a test takes too long. */
export function ofVitest(done, file) {
  const parts = stripVTControlCharacters(done.output).split(/^ FAIL /m);
  const failures = parts.slice(1).map((text) => text.split(/^⎯/m)[0].trim());
  try {
    const { numPassedTests, numFailedTests, numPendingTests } = read(file);
    return checked(done, result(numPassedTests, Math.max(numFailedTests, failures.length), numPendingTests, failures));
  } catch {
    return result(0, 1, 0, [tail(done.output)]);
  }
}

const specsOf = ({ suites = [], specs = [] }) => [...specs, ...suites.flatMap(specsOf)];

export function ofPlaywright(done, file) {
  try {
    const { stats, errors, suites } = read(file);
    const failures = suites
      .flatMap(specsOf)
      .flatMap(({ title, file: at, line, tests }) =>
        tests
          .filter(({ status }) => status === 'unexpected' || status === 'flaky')
          .map(({ results }) => `${at}:${line} ${title}\n${results.flatMap((run) => run.errors.map(({ message }) => message)).join('\n')}`),
      );
    failures.push(...errors.map(({ message }) => message));
    return checked(done, result(stats.expected, stats.unexpected + stats.flaky, stats.skipped, failures.map(stripVTControlCharacters)));
  } catch {
    return result(0, 1, 0, [tail(done.output)]);
  }
}

/**
 * Of a program that prints `N passed, N failed[, N skipped]`, a line that begins with FAIL, with lines set in below it, for each failure, and
 * one that begins with `!!! SKIPPED: ` for what it leaves out.
 */
export function ofCounts(done) {
  const last = [...done.output.matchAll(/(\d+) passed, (\d+) failed(?:, (\d+) skipped)?/g)].at(-1);
  if (!last) return result(0, 1, 0, [tail(done.output)]);
  const skips = [...done.output.matchAll(/^!!! SKIPPED: (.*)/gm)].map(([, why]) => why);
  const failures = done.output.match(/^FAIL .*(?:\n[ \t].*)*/gm) ?? [];
  return checked(done, result(Number(last[1]), Number(last[2]), Number(last[3] ?? 0), failures, skips));
}
