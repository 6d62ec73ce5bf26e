/**
 * Whether tests must be skipped because `what` is not on this machine. Says so by name; in CI nothing is skipped, so that
 * the tests fail there instead.
 *
 * @example
 * ```ts
 * it.skipIf(missing("../shared/conformance", existsSync(path)))("agrees with the data set", () => {});
 * ```
 */
export function missing(what: string, present: boolean): boolean {
  if (present || process.env.CI) return false;
  console.info(`skipped: tests that need ${what}, which is missing`);
  return true;
}
