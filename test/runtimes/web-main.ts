/** What runtimes with processes run: `MATERIAL RELAY URL`. Prints what a fetch through the relay came to. */
import { readFileSync } from "node:fs";
import type { Material } from "./core.ts";
import { visit } from "./web.ts";

const [file = "", relay = "", url = ""] = process.argv.slice(2);
const material = JSON.parse(readFileSync(file, "utf8")) as Material;
console.log(JSON.stringify(await visit(material, relay, url)));
