/** The one function of the package `semver` that the tests call; it ships no types. */
declare module "semver" {
  export function satisfies(version: string, range: string): boolean;
}
