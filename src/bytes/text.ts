/** Text from a peer on its way into a log. */

/** Values that one text holds, and characters of each. */
const MAX_SHOWN = 16;
const MAX_SHOWN_LENGTH = 255;

/** Values of the peer's for a log: not too many, not too long, and nothing in them that a terminal or a log would obey. */
export function shown(values: readonly string[]): string {
  const list = values.slice(0, MAX_SHOWN).map((value) =>
    value.slice(0, MAX_SHOWN_LENGTH).replace(/[^\x20-\x7e]/g, (character) => {
      const code = character.codePointAt(0) ?? 0;
      return `\\u{${code.toString(16)}}`;
    }),
  );
  return list.join(", ") + (values.length > MAX_SHOWN ? `, and ${values.length - MAX_SHOWN} more` : "");
}
