/** README's shell lines, run as they stand there but for the command's place and the ports. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const MUTLS = `${root}dist/cli/main.js`;

/** The lines of each shell block in the section with this heading. */
export function shellBlocks(heading: string): readonly (readonly string[])[] {
  const [, section = ""] = readFileSync(`${root}README.md`, "utf8").split(`\n## ${heading}\n`);
  const [own = ""] = section.split("\n## ");
  return [...own.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = ""]) => block.trimEnd().split("\n"));
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What lines have come to. */
export interface RanLines {
  readonly stdout: string;
  readonly stderr: string;
  /** In the order of the lines. */
  readonly statuses: readonly number[];
}

/**
 * Runs commands in one bash.
 *
 * @param commands - One or more lines each.
 * @param ports - What to put in the place of README's ports.
 */
export async function runLines(
  commands: readonly string[],
  folder: string,
  ports: Readonly<Record<string, number>>,
): Promise<RanLines> {
  const script = commands.map((command) => `${placed(command, ports)}\necho "$?" >&9\n`);
  const child = spawn("bash", ["-c", script.join("")], {
    cwd: folder,
    env: { ...process.env, NODE: process.execPath, MUTLS },
    stdio: ["ignore", "pipe", "pipe", ...Array(6).fill("ignore"), "pipe"],
  });
  const text = { stdout: "", stderr: "", statuses: "" };
  child.stdout?.on("data", (chunk) => (text.stdout += chunk));
  child.stderr?.on("data", (chunk) => (text.stderr += chunk));
  const ninth = (child.stdio as readonly unknown[])[9] as NodeJS.ReadableStream;
  ninth.on("data", (chunk) => (text.statuses += chunk));
  await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  return { ...text, statuses: text.statuses.trim().split("\n").map(Number) };
}

/** A line with this command and these ports. */
export function placed(line: string, ports: Readonly<Record<string, number>>): string {
  const command = line.replaceAll("npx mutls", '"$NODE" "$MUTLS"');
  return Object.entries(ports).reduce((text, [port, own]) => text.replaceAll(port, String(own)), command);
}
