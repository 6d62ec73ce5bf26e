/** The page: its state is the fragment of its address, and everything shown follows from that. */
import "../../explained.ts";
import { TlsError } from "../../errors.ts";
import { type ByteChange, type PageState, readFragment, writeFragment } from "./choices.ts";
import type { Conversation, Entry } from "./conversation.ts";
import { mainChange } from "./difference.ts";
import type { ExampleData } from "./examples.ts";
import { byteStory, choicesOf, faultOf, Handshakes } from "./handshakes.ts";
import { leavesOf, pathTo, type TreeNode } from "./tree.ts";
import { ByteGrid, type Layer } from "./view/byte-grid.ts";
import { controls } from "./view/controls.ts";
import { costView } from "./view/cost.ts";
import { detail } from "./view/detail.ts";
import { el } from "./view/dom.ts";
import { faultTable } from "./view/fault-table.ts";
import { FieldTree } from "./view/field-tree.ts";
import { ladder } from "./view/ladder.ts";
import { endViews, outcome } from "./view/outcome.ts";
import { scheduleView } from "./view/schedule.ts";

/** A field that is looked at, and the byte of it that has the cursor. */
interface Selection {
  readonly entry: Entry;
  readonly node: TreeNode;
  readonly offset: number;
}

/** ms after which the address follows what is selected. */
const FOLLOW_AFTER = 250;
/** ms after which a reader is told that something takes its time. */
const SAY_SO_AFTER = 200;

class Page {
  #state: PageState;
  #ignored: readonly string[];
  #conversation: Conversation | undefined;
  #layer: Layer = "opened";
  /** Runs that have begun: the last one is shown. */
  #runs = 0;
  readonly #handshakes = new Handshakes(fetchExample);
  readonly #tree = new FieldTree((node) => this.#select({ ...this.#selected(), node, offset: node.start }));
  readonly #grid = new ByteGrid((offset) => {
    const { entry } = this.#selected();
    this.#select({ entry, node: pathTo(entry.tree, offset).at(-1) ?? entry.tree, offset });
  });
  readonly #ladder = el("div", {});
  readonly #detail = el("div", { class: "detail-box" });
  readonly #layers = this.#layerSwitch();
  readonly #controls = controls({
    choose: (choice) =>
      this.#go({ ...this.#fresh(), fault: this.#state.fault, choices: { ...this.#state.choices, ...choice } }),
    showExample: (example) => this.#go({ ...this.#fresh(), example }),
    breakBy: (fault) => this.#go({ ...this.#fresh(), fault }),
    again: () => {
      this.#handshakes.forget();
      void this.#run();
    },
  });
  #selection: Selection | undefined;
  #following: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    const { state, ignored } = readFragment(location.hash);
    this.#state = state;
    this.#ignored = ignored;
    place("controls").append(this.#controls.form);
    place("flights").append(this.#ladder);
    place("fields").append(this.#tree.element);
    place("bytes").append(this.#layers, this.#grid.element, this.#detail);
    place("faults").append(faultTable());
    place("skip").addEventListener("click", (event) => {
      // The fragment is the page's state.
      event.preventDefault();
      place("workbench").focus();
    });
    addEventListener("hashchange", () => this.#arrive());
    void this.#run();
  }

  /** The choices alone: nothing broken, nothing selected. */
  #fresh(): PageState {
    return { ...this.#state, example: undefined, fault: undefined, byte: undefined, at: undefined };
  }

  #arrive(): void {
    clearTimeout(this.#following);
    const { state, ignored } = readFragment(location.hash);
    this.#ignored = ignored;
    const isElsewhere = writeFragment({ ...state, at: undefined }) !== writeFragment({ ...this.#state, at: undefined });
    this.#state = state;
    if (isElsewhere) void this.#run();
    else this.#selectFromState();
  }

  #go(state: PageState): void {
    clearTimeout(this.#following);
    this.#state = state;
    this.#ignored = [];
    history.pushState(null, "", writeFragment(state));
    void this.#run();
  }

  async #run(): Promise<void> {
    const run = ++this.#runs;
    this.#controls.update(this.#state, choicesOf(this.#state), faultOf(this.#state)?.needs ?? {});
    document.body.setAttribute("aria-busy", "true");
    const patience = setTimeout(() => {
      place("notice").textContent = "Keys and certificates are being made.";
    }, SAY_SO_AFTER);
    try {
      const conversation = await this.#handshakes.conversation(this.#state);
      if (run === this.#runs) this.#show(conversation);
    } catch (error) {
      if (run !== this.#runs) return;
      place("notice").textContent = "";
      place("outcome").replaceChildren(
        el("p", { class: "verdict bad" }, "This handshake cannot be shown."),
        el("p", { class: "lead" }, error instanceof Error ? error.message : String(error)),
      );
      // Choices that cannot be run are the reader's; anything else is a fault, and the console's too.
      if (!(error instanceof TlsError)) throw error;
    } finally {
      clearTimeout(patience);
      if (run === this.#runs) document.body.removeAttribute("aria-busy");
    }
  }

  #show(conversation: Conversation): void {
    this.#conversation = conversation;
    const fault = faultOf(this.#state);
    const byte =
      fault === undefined && this.#state.byte !== undefined ? byteStory(this.#state.byte, conversation) : undefined;
    place("notice").textContent = this.#noticeText();
    place("outcome").replaceChildren(...outcome(conversation, { fault, byte }));
    place("ends").replaceChildren(...endViews(conversation));
    place("schedule-view").replaceChildren(scheduleView(conversation, (entry) => this.#visit(entry)));
    place("cost").replaceChildren(costView(conversation));
    this.#selection = undefined;
    this.#selectFromState();
  }

  #noticeText(): string {
    const unknown =
      this.#state.fault !== undefined && this.#state.example === undefined && faultOf(this.#state) === undefined;
    const names = [...this.#ignored, ...(unknown ? ["fault"] : [])];
    return names.length === 0 ? "" : `Not understood in the address, and left at its default: ${names.join(", ")}.`;
  }

  #entries(): readonly Entry[] {
    return this.#conversation?.flights.flatMap(({ entries }) => entries) ?? [];
  }

  #selectFromState(): void {
    const { at } = this.#state;
    const entries = this.#entries();
    const wanted = entries.find(({ id }) => id === at?.record);
    const broken = entries.find(({ fate }) => fate !== "as sent" && fate !== "protected anew");
    const entry = wanted ?? broken ?? entries[0];
    if (entry === undefined) return;
    const changed = mainChange(entry.changed);
    const offset = wanted !== undefined && at !== undefined ? at.offset : changed;
    const leaf = offset === undefined ? undefined : pathTo(entry.tree, offset).at(-1);
    const node = leaf ?? firstMessage(entry);
    this.#apply({ entry, node, offset: leaf === undefined ? node.start : (offset ?? node.start) });
  }

  #selected(): Selection {
    if (this.#selection === undefined) throw new Error("nothing is shown yet");
    return this.#selection;
  }

  /** By hand: the address follows. */
  #select(selection: Selection): void {
    const { entry, offset } = selection;
    this.#state = { ...this.#state, at: { record: entry.id, offset } };
    this.#followLater();
    this.#apply(selection);
  }

  /** Browsers refuse addresses that change with every key of somebody who walks through bytes. */
  #followLater(): void {
    clearTimeout(this.#following);
    this.#following = setTimeout(() => history.replaceState(null, "", writeFragment(this.#state)), FOLLOW_AFTER);
  }

  #apply(selection: Selection): void {
    const { entry, node, offset } = selection;
    const isOther = this.#selection?.entry !== entry;
    this.#selection = selection;
    if (isOther) this.#drawLadder(entry);
    this.#layers.hidden = entry.record.sequence === undefined;
    const layer = entry.record.sequence === undefined ? "wire" : this.#layer;
    this.#tree.show(entry, node);
    this.#grid.show(entry, layer, node, offset);
    const change = this.#state.example === undefined ? (byte: ByteChange) => this.#changeByte(byte) : undefined;
    this.#detail.replaceChildren(detail(entry, node, offset, change));
  }

  #drawLadder({ id }: Entry): void {
    if (this.#conversation === undefined) return;
    const focused = document.activeElement?.id;
    const wishes = { select: (entry: Entry) => this.#visit(entry), showSecret };
    this.#ladder.replaceChildren(ladder(this.#conversation, id, wishes));
    if (focused?.startsWith("record-")) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  #visit(entry: Entry): void {
    const node = firstMessage(entry);
    this.#select({ entry, node, offset: node.start });
    place("workbench").scrollIntoView({ block: "start" });
  }

  #changeByte(byte: ByteChange): void {
    this.#go({ ...this.#fresh(), choices: choicesOf(this.#state), byte });
    place("outcome").scrollIntoView({ block: "center" });
  }

  #layerSwitch(): HTMLElement {
    const option = (layer: Layer, text: string) =>
      el(
        "label",
        {},
        el("input", {
          type: "radio",
          name: "layer",
          value: layer,
          checked: layer === this.#layer,
          change: () => {
            this.#layer = layer;
            this.#apply(this.#selected());
          },
        }),
        ` ${text}`,
      );
    return el(
      "fieldset",
      { class: "layers" },
      el("legend", { class: "sr" }, "Show the bytes"),
      option("opened", "decrypted"),
      option("wire", "on the wire"),
    );
  }
}

/** The message, or what else the record carries, that its tree leads to first. */
function firstMessage({ tree, record }: Entry): TreeNode {
  const [first] = pathTo(tree, 5).slice(record.sequence === undefined ? 2 : 3);
  return first ?? leavesOf(tree)[0] ?? tree;
}

function showSecret(name: string): void {
  const card = document.getElementById(`secret-${name}`);
  card?.scrollIntoView({ block: "center" });
  card?.focus({ preventScroll: true });
}

function place(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no place for ${id}`);
  return element;
}

async function fetchExample(section: number): Promise<ExampleData> {
  const response = await fetch(`rfc8448/section-${section}.json`);
  if (!response.ok) throw new Error(`the example of section ${section} is not there: ${response.status}`);
  return (await response.json()) as ExampleData;
}

new Page();
