/** What rules are made of: conditions that say why they do not hold. */

/** One demand on a subject. */
export interface Condition<T> {
  holds(subject: T): boolean;
  /** For people: why it does not hold. Asked of those that do not. */
  why(subject: T): string;
}

/** Holds where all do. */
export function allOf<T>(conditions: readonly Condition<T>[]): Condition<T> {
  return {
    holds: (subject) => conditions.every((condition) => condition.holds(subject)),
    why: (subject) => conditions.find((condition) => !condition.holds(subject))?.why(subject) ?? "",
  };
}

/** Holds where one does. */
export function anyOf<T>(conditions: readonly Condition<T>[]): Condition<T> {
  const [first] = conditions;
  if (conditions.length === 1 && first !== undefined) return first;
  return {
    holds: (subject) => conditions.some((condition) => condition.holds(subject)),
    why: (subject) => conditions.map((condition) => condition.why(subject)).join("; nor: "),
  };
}
