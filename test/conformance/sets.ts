/** The sets by name. */
import { runChains } from "./chains.ts";
import { runCrl } from "./crl.ts";
import type { RunSet } from "./harness.ts";
import { runLimbo } from "./limbo.ts";
import { runOcsp } from "./ocsp.ts";
import { runPkits } from "./pkits.ts";

export const SETS: Readonly<Record<string, RunSet>> = {
  limbo: runLimbo,
  pkits: runPkits,
  chains: runChains,
  crl: runCrl,
  ocsp: runOcsp,
};
