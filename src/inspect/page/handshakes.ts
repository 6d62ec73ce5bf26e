/** From the page's state to what it shows: runs the handshake that the state stands for, or gets the one that was printed. */
import { type Cast, createCast } from "./cast.ts";
import type { ByteChange, Choices, PageState } from "./choices.ts";
import { type Conversation, conversationOf } from "./conversation.ts";
import { type ExampleData, exampleConversation } from "./examples.ts";
import { FAULTS, type Fault } from "./faults/index.ts";
import { Stage } from "./run.ts";
import { inByte } from "./tamper.ts";

/** The fault that a state names; `undefined` for none, and for one that does not exist. */
export function faultOf({ fault, example }: PageState): Fault | undefined {
  return example === undefined ? FAULTS.find(({ name }) => name === fault) : undefined;
}

/** The choices with those that the fault needs. */
export function choicesOf(state: PageState): Choices {
  return { ...state.choices, ...faultOf(state)?.needs };
}

/** Runs handshakes, and keeps what they need to be the same when they are run again. */
export class Handshakes {
  readonly #fetchExample: (section: number) => Promise<ExampleData>;
  readonly #casts = new Map<Choices["key"], Promise<Cast>>();
  #stage: Stage | undefined;

  /** @param fetchExample - Brings the data of a section of RFC 8448. */
  constructor(fetchExample: (section: number) => Promise<ExampleData>) {
    this.#fetchExample = fetchExample;
  }

  /** The next handshake gets fresh randomness. */
  forget(): void {
    this.#stage = undefined;
  }

  /** @throws TlsError `ERR_TLS_OPTION` for choices that cannot be run, protocol names for example. */
  async conversation(state: PageState): Promise<Conversation> {
    if (state.example !== undefined) return exampleConversation(await this.#fetchExample(state.example));
    const choices = choicesOf(state);
    const cast = this.#casts.get(choices.key) ?? createCast(choices.key);
    this.#casts.set(choices.key, cast);
    const stage = this.#stageFor(choices, await cast);
    const fault = faultOf(state);
    const byte = fault === undefined && state.byte !== undefined ? { tampering: inByte(state.byte) } : {};
    const run = stage.run(fault?.difference(stage.cast) ?? byte);
    return conversationOf("", run, choices.suite);
  }

  #stageFor(choices: Choices, cast: Cast): Stage {
    if (JSON.stringify(this.#stage?.choices) !== JSON.stringify(choices) || this.#stage?.cast !== cast) {
      this.#stage = new Stage(choices, cast);
    }
    return this.#stage as Stage;
  }
}

/** What a change of a byte does, as a sentence; says so where there is no such byte. */
export function byteStory(byte: ByteChange, { flights }: Conversation): string {
  const { from, record, offset, value, where } = byte;
  const entry = flights.flatMap(({ entries }) => entries).find((one) => one.from === from && one.sentNumber === record);
  const place = `byte ${offset} of the ${from}'s record ${record}`;
  if (entry === undefined || offset >= entry.record.wire.length)
    return `There is no ${place} in this handshake: nothing was changed.`;
  const digits = value.toString(16).padStart(2, "0");
  const how =
    where === "wire"
      ? "on the wire"
      : entry.record.sequence === undefined
        ? "in the clear"
        : "inside the protection, which is made anew";
  if (entry.changed.size === 0)
    return `${place.charAt(0).toUpperCase()}${place.slice(1)} is ${digits} already: nothing was changed.`;
  return `${place.charAt(0).toUpperCase()}${place.slice(1)} is set to ${digits} on its way, ${how}.`;
}
