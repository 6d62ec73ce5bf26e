/** Types of build.mjs. */
export const shim: string;
export function config(): {
  readonly DisabledTests: Readonly<Record<string, string>>;
  readonly ErrorMap: Readonly<Record<string, readonly string[]>>;
};
export function buildShim(): Promise<void>;
