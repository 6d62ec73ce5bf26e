/** What a browser runs: as a page it puts `runCore` on `globalThis`, as a Worker it runs on each message. */
import { type Material, type Result, runCases } from "../runtimes/core.ts";

type Report = (result: Result) => unknown;

/** In the page itself, or in a Worker of the page. */
async function runCore(where: "page" | "Worker", material: Material, report: Report): Promise<void> {
  if (where === "page") return runCases(material, report);
  const worker = new Worker("/main.js", { type: "module" });
  await new Promise<void>((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(`the Worker failed: ${event.message}`));
    worker.onmessage = ({ data }) => (data === "done" ? resolve() : report(data as Result));
    worker.postMessage(material);
  });
  worker.terminate();
}

if ("document" in globalThis) Object.assign(globalThis, { runCore });
else {
  globalThis.onmessage = async ({ data }) => {
    await runCases(data as Material, (result) => globalThis.postMessage(result));
    globalThis.postMessage("done");
  };
}
