/** How much work code does, counted and not timed: how often V8 entered the functions of this project's sources. */
import { Session } from "node:inspector";

/**
 * Calls of functions in src/ while `action` runs, callbacks included. The same action counts the same, however the machine is
 * busy. What built-in functions do by themselves is not counted.
 */
export function workOf(action: () => void): number {
  const session = new Session();
  session.connect();
  try {
    session.post("Profiler.enable");
    session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    action();
    let work = 0;
    // In the same thread the answer comes before `post` returns.
    session.post("Profiler.takePreciseCoverage", (error, coverage) => {
      if (error !== null) throw error;
      for (const { url, functions } of coverage.result) {
        if (!url.includes("/src/")) continue;
        for (const { ranges } of functions) for (const { count } of ranges) work += count;
      }
    });
    session.post("Profiler.stopPreciseCoverage");
    return work;
  } finally {
    session.disconnect();
  }
}
