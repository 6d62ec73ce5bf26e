/** Text from a peer on its way into a log. */

/** Values that one text holds, and characters of each. */
const MAX_SHOWN = 16;
const MAX_SHOWN_LENGTH = 255;

/** The same text with nothing in it that a terminal or a log would obey: other than printable ASCII is escaped. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, (character) => {
    const code = (character.codePointAt(0) as number).toString(16);
    return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`;
  });
}

/** Values of the peer's for a log: not too many, not too long, and printable. */
export function shown(values: readonly string[]): string {
  const list = values.slice(0, MAX_SHOWN).map((value) => printable(value.slice(0, MAX_SHOWN_LENGTH)));
  return list.join(", ") + (values.length > MAX_SHOWN ? `, and ${values.length - MAX_SHOWN} more` : "");
}
