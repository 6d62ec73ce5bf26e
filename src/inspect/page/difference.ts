/** Which bytes of a changed record are new: what is left when the longest common subsequence is taken away. */

/** Cells of the table; where more were needed, everything between the common ends counts as changed. */
const MAX_CELLS = 4_000_000;

/** Offsets in `after` of the bytes that `before` has not, or has not there. */
export function newBytes(before: Uint8Array, after: Uint8Array): Set<number> {
  if (before.length === after.length) return new Set(offsets(0, after.length).filter((at) => before[at] !== after[at]));
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let tail = 0;
  while (tail < shorter - start && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const old = before.subarray(start, before.length - tail);
  const fresh = after.subarray(start, after.length - tail);
  if (old.length * fresh.length > MAX_CELLS) return new Set(offsets(start, start + fresh.length));
  const kept = common(old, fresh);
  return new Set(offsets(start, start + fresh.length).filter((at) => !kept.has(at - start)));
}

/** Where a longest common subsequence stands in `fresh`. */
function common(old: Uint8Array, fresh: Uint8Array): Set<number> {
  const width = fresh.length + 1;
  const lengths = new Uint16Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = fresh.length - 1; j >= 0; j--) {
      const below = (i + 1) * width + j;
      lengths[i * width + j] =
        old[i] === fresh[j]
          ? (lengths[below + 1] as number) + 1
          : Math.max(lengths[below] as number, lengths[i * width + j + 1] as number);
    }
  }
  const kept = new Set<number>();
  for (let i = 0, j = 0; i < old.length && j < fresh.length; ) {
    if (old[i] === fresh[j]) {
      kept.add(j);
      i++;
      j++;
    } else if ((lengths[(i + 1) * width + j] as number) >= (lengths[i * width + j + 1] as number)) i++;
    else j++;
  }
  return kept;
}

/** The first byte of the longest run among `changed`; of several, of the last. */
export function mainChange(changed: ReadonlySet<number>): number | undefined {
  let best: { readonly start: number; readonly length: number } | undefined;
  for (const start of changed) {
    if (changed.has(start - 1)) continue;
    let length = 1;
    while (changed.has(start + length)) length++;
    if (best === undefined || length > best.length || (length === best.length && start > best.start))
      best = { start, length };
  }
  return best?.start;
}

function offsets(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}
