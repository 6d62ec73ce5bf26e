/** Where a section can be read. */

/**
 * The address of a section at the RFC Editor.
 *
 * @param section - `RFC 8446 4.1.2`, `RFC 8446 D.4`; or the name of a draft with a section.
 */
export function rfcLink(section: string): string | undefined {
  const [, number, place] = /^RFC (\d+)(?: ([\dA-Z][\d.]*[\dA-Z]?))?$/.exec(section) ?? [];
  if (number !== undefined) {
    const anchor = place === undefined ? "" : `#${/^\d/.test(place) ? "section" : "appendix"}-${place}`;
    return `https://www.rfc-editor.org/rfc/rfc${number}.html${anchor}`;
  }
  const draft = /^(draft-[a-z0-9-]+)/.exec(section)?.[1];
  return draft && `https://datatracker.ietf.org/doc/html/${draft}`;
}
