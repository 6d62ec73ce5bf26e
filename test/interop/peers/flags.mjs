/** Flags of the peers' command language, and how they answer: see README.md. */

/** `--name value` and `--name` alone. */
export function flags() {
  const rest = process.argv.slice(2);
  const found = {};
  while (rest.length > 0) {
    const name = rest.shift().replace(/^--/, "");
    found[name] = rest.length > 0 && !rest[0].startsWith("--") ? rest.shift() : true;
  }
  return { ...found, connections: Number(found.connections ?? 1), port: Number(found.port ?? 0) };
}

/** One line of JSON. */
export function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
