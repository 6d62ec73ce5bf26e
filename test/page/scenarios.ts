/** Handshakes that differ in one choice each, and some in two. */
import { type Choices, DEFAULT_CHOICES, QUESTIONS } from "../../src/inspect/page/choices.ts";

export const SCENARIOS: readonly (readonly [name: string, choices: Choices])[] = [
  ...QUESTIONS.flatMap(({ name, answers }) => answers.map(([value]) => ({ [name]: value }))),
  { alpn: "h2, http/1.1" },
  { session: "resumed", retry: "yes" },
  { session: "early", retry: "yes" },
  { session: "early", suite: "TLS_AES_256_GCM_SHA384", alpn: "h2" },
  { group: "X25519MLKEM768", retry: "yes", auth: "server" },
].map((different) => [JSON.stringify(different), { ...DEFAULT_CHOICES, ...different } as Choices]);
